# SPDX-License-Identifier: Apache-2.0
"""Requests that bring source archives. Called through the table of routes."""

from __future__ import annotations

from typing import BinaryIO, cast

from stackyard.api.call import Call, Reply
from stackyard.model import errors


class _Counted:
    """A body that counts what is read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._stream.read(size)
        self.size += len(data)
        return data


def upload(call: Call) -> Reply:
    """Keep a gzip'd tar; tell its digest, by which a push names it."""
    if call.stream is None:
        raise errors.BadInput("the body must be a gzip'd tar")
    counted = _Counted(call.stream)
    limit = call.services.conf.api.max_body_mb * 1024 * 1024
    digest = call.services.sources.put(cast("BinaryIO", counted), limit)
    return Reply(201, {"digest": digest, "size": counted.size})
