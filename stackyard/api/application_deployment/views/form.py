# SPDX-License-Identifier: Apache-2.0
"""What all views are made of: mappings, and times as ISO 8601 texts."""

from __future__ import annotations

import datetime
from typing import Any

View = dict[str, Any]


def time_of(at: datetime.datetime | None) -> str | None:
    """Return a time as a text."""
    return at.isoformat() if at else None


def moment(seconds: float | None) -> str | None:
    """Return a time given in seconds of the epoch as a text; None for none."""
    return time_of(datetime.datetime.fromtimestamp(seconds, datetime.UTC)) if seconds else None
