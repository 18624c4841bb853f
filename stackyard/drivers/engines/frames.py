# SPDX-License-Identifier: Apache-2.0
"""The engine's multiplexed stream: frames of a header (kind, length) and content. Source: Engine API, ContainerAttach.

Used by whatever reads what a container writes; knows no engine.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR = 1, 2


class Readable(Protocol):
    """A stream whose `read` returns fewer bytes than asked for only at its end."""

    def read(self, size: int) -> bytes:
        """Return the next bytes."""


def contents(stream: Readable) -> Iterator[bytes]:
    """Yield the content of each frame, whichever its kind, as it comes."""
    while len(head := stream.read(HEADER.size)) == HEADER.size:
        yield stream.read(HEADER.unpack(head)[1])


def unframed(stream: bytes) -> bytes:
    """Return the content of all frames; the last one may be cut off."""
    found = b""
    while len(stream) >= HEADER.size:
        end = HEADER.size + HEADER.unpack_from(stream)[1]
        found, stream = found + stream[HEADER.size : end], stream[end:]
    return found
