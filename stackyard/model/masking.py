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
