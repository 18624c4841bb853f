# SPDX-License-Identifier: Apache-2.0
"""Is a stream of bytes a whole gzip'd tar? Checked while it flows past, so that a bad upload is refused at once.

Called by `archives`; reads no files. What single entries may be is the business of `unpack`.
"""

from __future__ import annotations

import tarfile
import zlib

from stackyard.model import errors
from stackyard.model.tree_sizes import MAX_BYTES

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class GzipTarCheck:
    """Takes an archive piece by piece; raises BadInput when it is no gzip'd tar, TooLarge when it is a bomb."""

    def __init__(self, max_unpacked: int = MAX_BYTES) -> None:
        self._inflate = zlib.decompressobj(_GZIP)
        self._head = b""
        self._unpacked = 0
        self._max = max_unpacked

    def feed(self, chunk: bytes) -> None:
        """Look at the next piece."""
        while chunk:
            if self._inflate.eof:
                chunk = self._next_member(chunk)
                continue
            try:
                data = self._inflate.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise errors.BadInput(f"the archive is not gzip data ({error}); send a gzip'd tar") from error
            chunk = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            self._count(data)

    def finish(self) -> None:
        """Say that all has been fed; raises BadInput when the end is missing."""
        if not self._inflate.eof:
            raise errors.BadInput("the archive is cut off or empty; send it again")
        if len(self._head) < _BLOCK:
            raise errors.BadInput("the gzip data holds no tar archive; send a gzip'd tar")

    def _next_member(self, chunk: bytes) -> bytes:
        """Begin the next gzip member, dropping the zero padding that some tools write after the last one."""
        rest = chunk.lstrip(b"\0")
        if rest:
            self._inflate = zlib.decompressobj(_GZIP)
        return rest

    def _count(self, data: bytes) -> None:
        self._unpacked += len(data)
        if self._unpacked > self._max:
            raise errors.TooLarge(f"the archive unpacks to more than {self._max} bytes")
        if len(self._head) < _BLOCK:
            self._head += data[: _BLOCK - len(self._head)]
            if len(self._head) == _BLOCK:
                self._check_header()

    def _check_header(self) -> None:
        if not self._head.strip(b"\0"):
            return  # the end marker at once: a tar of nothing
        try:
            tarfile.TarInfo.frombuf(self._head, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise errors.BadInput("the gzip data holds no tar archive; send a gzip'd tar") from error
