# SPDX-License-Identifier: Apache-2.0
"""A container's log as the engine sends it, cut into lines with their times.

Used by `follow.py`; pure. With a terminal the bytes are the text itself; without one they are frames
(8 bytes: stream, 3 zeros, big-endian length) of one record each. Every record begins with its time. A record of
a line longer than 16 KiB has no line feed: the next one of the same stream continues it.
"""

from __future__ import annotations

import dataclasses

from stackyard.drivers.engines.frames import HEADER
from stackyard.model.logs import exact

_STREAMS = {1: "stdout", 2: "stderr"}
_SPLIT = 16384
LONGEST = 262_144
_TIME_LENGTH = len("2006-01-02T15:04:05.000000000Z")


@dataclasses.dataclass(frozen=True)
class Record:
    """One line: `at` is the engine's RFC 3339 time with all nine digits, so that texts compare as times."""

    at: str
    stream: str
    text: str


class Records:
    """Turns pieces of a log, cut anywhere, into records; lines beyond 256 KiB come in several.

    `last_at` is the time of the newest record seen, unfinished ones included.
    """

    def __init__(self) -> None:
        self.last_at = ""
        self._buffer = bytearray()
        self._framed: bool | None = None
        self._open: dict[str, tuple[str, bytearray]] = {}

    def feed(self, data: bytes) -> list[Record]:
        """Return the lines that these bytes complete."""
        self._buffer += data
        if self._framed is None and self._buffer:
            self._framed = self._buffer[0] in {0, 1, 2}  # a time begins with a digit
        return self._frames() if self._framed else self._terminal()

    def finish(self) -> list[Record]:
        """Return what was left without a line feed when the log ended."""
        if not self._framed and self._buffer:
            self._add("stdout", bytes(self._buffer))
        self._buffer.clear()
        return [self._close(stream) for stream in list(self._open)]

    def _frames(self) -> list[Record]:
        found: list[Record] = []
        position = 0
        while len(self._buffer) - position >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer, position)
            if len(self._buffer) - position - HEADER.size < length:
                break
            position += HEADER.size
            found += self._add(_STREAMS.get(kind, "stdout"), bytes(self._buffer[position : position + length]))
            position += length
        del self._buffer[:position]
        return found

    def _terminal(self) -> list[Record]:
        found: list[Record] = []
        while (length := self._record_length()) is not None:
            found += self._add("stdout", bytes(self._buffer[:length]))
            del self._buffer[:length]
        return found

    def _record_length(self) -> int | None:
        """Return where the first record ends: at a line feed, or where the engine split a long line."""
        limit = _TIME_LENGTH + 1 + _SPLIT
        end = self._buffer.find(b"\n", 0, limit + 1)
        if end >= 0:
            return end + 1
        return limit if len(self._buffer) > limit else None

    def _add(self, stream: str, record: bytes) -> list[Record]:
        at, _, text = record.partition(b" ")
        self.last_at = exact(at.decode("ascii", "replace"))
        line = self._open.setdefault(stream, (self.last_at, bytearray()))[1]
        line += text
        if line.endswith(b"\n") or len(line) >= LONGEST:
            return [self._close(stream)]
        return []

    def _close(self, stream: str) -> Record:
        at, line = self._open.pop(stream)
        return Record(at, stream, line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "replace"))
