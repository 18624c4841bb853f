# SPDX-License-Identifier: Apache-2.0
"""Requests that bring source archives, and that ask what a push of one would do. Called through the table of routes."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from stackyard.api.call import Call, Reply
from stackyard.intents.sources import source
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


def plan(call: Call) -> Reply:
    """Tell what a push of a stored archive would do, and why; nothing of it is run."""
    with unpacked(call, call.args["digest"]) as folder:
        return Reply(data=call.services.plan(folder))


@contextlib.contextmanager
def unpacked(call: Call, named: str) -> Iterator[str]:
    """Give the tree of a stored archive in a folder of its own; raises NotFound, BadInput."""
    digest = source({"digest": named}).digest
    if not call.services.sources.exists(digest):
        raise errors.NotFound("no archive of this digest is stored; upload it with POST /v1/sources first")
    trees = pathlib.Path(call.services.conf.state_dir) / "trees"
    trees.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="plan-", dir=trees) as folder:
        try:
            call.services.sources.unpack(digest, folder)
        except errors.GiveUp as error:
            raise errors.BadInput(str(error)) from error
        yield folder


def upload(call: Call) -> Reply:
    """Keep a gzip'd tar; tell its digest, by which a push names it."""
    if call.stream is None:
        raise errors.BadInput("the body must be a gzip'd tar")
    counted = _Counted(call.stream)
    limit = call.services.conf.api.max_body_mb * 1024 * 1024
    digest = call.services.sources.put(cast("BinaryIO", counted), limit)
    return Reply(201, {"digest": digest, "size": counted.size})
