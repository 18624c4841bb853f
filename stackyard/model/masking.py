# SPDX-License-Identifier: Apache-2.0
"""Taking secret values out of text that people read: build output, log lines, reasons of failures.

Called by the worker where it writes such text, and by the API where it sends log lines.
"""

from __future__ import annotations

from collections.abc import Iterable

MASK = "****"
SHORTEST = 4
"""Shorter values are not masked: they would tear holes into text that has nothing to do with them."""


def mask(text: str, values: Iterable[str]) -> str:
    """Return the text with `****` in place of every value; a value of several lines is looked for line by line."""
    for part in parts(values):
        if part in text:
            text = text.replace(part, MASK)
    return text


def parts(values: Iterable[str]) -> list[str]:
    """Return what is to be looked for, the longest first: one value may be part of another."""
    lines = {line.strip() for value in values for line in value.splitlines()}
    return sorted((line for line in lines if len(line) >= SHORTEST), key=lambda line: (-len(line), line))


class StreamMask:
    """Masks values in bytes that come in pieces: the beginning of a value at a piece's end is held until the next."""

    def __init__(self, values: Iterable[str]) -> None:
        """`values` are looked for line by line, as `mask` does."""
        self._parts = [part.encode() for part in parts(values)]
        self._held = b""

    @property
    def holds(self) -> bool:
        """Tell whether something waits for the next piece."""
        return bool(self._held)

    def feed(self, piece: bytes) -> bytes:
        """Return what can be told by now."""
        if not self._parts:
            return piece
        data = self._held + piece
        for part in self._parts:
            data = data.replace(part, MASK.encode())
        kept = max(_begun(data, part) for part in self._parts)
        self._held = data[len(data) - kept :]
        return data[: len(data) - kept]

    def flush(self) -> bytes:
        """Return what was held, since nothing came after it."""
        held, self._held = self._held, b""
        return held


def _begun(data: bytes, part: bytes) -> int:
    """Return how many of the last bytes may be the beginning of a value."""
    longest = min(len(data), len(part) - 1)
    return next((length for length in range(longest, 0, -1) if data.endswith(part[:length])), 0)
