# SPDX-License-Identifier: Apache-2.0
"""The engine's multiplexed stream: frames of a header (kind, length) and content. Source: Engine API, ContainerAttach.

Used by whatever reads what a container writes; knows no engine.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR = 1, 2


def unframed(stream: bytes) -> bytes:
    """Return the content of all frames; the last one may be cut off."""
    found = b""
    while len(stream) >= HEADER.size:
        end = HEADER.size + HEADER.unpack_from(stream)[1]
        found, stream = found + stream[HEADER.size : end], stream[end:]
    return found
