# SPDX-License-Identifier: Apache-2.0
"""Durations and sizes in the words of the Compose Specification. Called by `compose`; raises only BadInput."""

from __future__ import annotations

import re

from stackyard.model import errors

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|k|kb|kib|m|mb|mib|g|gb|gib)?", re.IGNORECASE)
_BYTES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
MAX_SECONDS = 24 * 3600.0
MAX_BYTES = 2**50


def seconds(text: str, where: str) -> float:
    """Return a duration such as `1m30s` or `500ms` in seconds."""
    pieces = _DURATION.findall(text)
    if not pieces or "".join(number + unit for number, unit in pieces) != text:
        raise errors.BadInput(f"{where}: {text!r} is no duration; write for example 10s, 1m30s or 500ms")
    total = sum(float(number) * _SECONDS[unit] for number, unit in pieces)
    if total > MAX_SECONDS:
        raise errors.BadInput(f"{where}: {text!r} is longer than a day")
    return total


def size(value: str | int, where: str) -> int:
    """Return a size such as `512m`, `1.5gb` or a number of bytes, in bytes."""
    match = _SIZE.fullmatch(str(value).strip())
    if not match:
        raise errors.BadInput(f"{where}: {str(value)!r} is no size; write for example 512m or 1g")
    total = int(float(match[1]) * _BYTES[(match[2] or "").lower()[:1]])
    if total > MAX_BYTES:
        raise errors.BadInput(f"{where}: {str(value)!r} is more than any machine has")
    return total
