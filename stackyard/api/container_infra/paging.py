# SPDX-License-Identifier: Apache-2.0
"""Paging as Magnum does it: `limit`, `marker`, `sort_key`, `sort_dir`, and a `next` link after a full page."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from stackyard.api.call import Call
from stackyard.model import errors
from stackyard.store import Page

MAX_LIMIT = 1000
PAGED = frozenset({"limit", "marker", "sort_key", "sort_dir"})
Columns = Mapping[str, str]
Marker = Callable[[str], str]


def page(call: Call, columns: Columns, marker: Marker | None = None) -> Page:
    """Return the page asked for; `columns` maps the keys that one may sort by; raises BadInput.

    `marker` checks what names the last object of the page before (default: its UUID).
    """
    key, direction = call.query.get("sort_key", "id"), call.query.get("sort_dir", "asc")
    if key not in columns:
        raise errors.BadInput(f"sort_key must be one of: {', '.join(sorted(columns))}")
    if direction not in ("asc", "desc"):
        raise errors.BadInput("sort_dir must be 'asc' or 'desc'")
    given = call.query.get("marker")
    last = None if given is None else (marker or _uuid)(given)
    return Page(_limit(call), last, columns[key], direction == "desc")


def paged(call: Call, path: str, name: str, items: list[dict[str, Any]], marker: str = "uuid") -> dict[str, Any]:
    """Return a list with its `next` link, which is there when the page is full; `marker` is the field it names."""
    if len(items) < _limit(call):
        return {name: items}
    filters = {key: value for key, value in call.query.items() if key not in PAGED}
    query = filters | {
        "sort_key": call.query.get("sort_key", "id"),
        "sort_dir": call.query.get("sort_dir", "asc"),
        "limit": _limit(call),
        "marker": items[-1][marker],
    }
    return {name: items, "next": f"{call.url}/v1/{path}?{urlencode(query)}"}


def _uuid(given: str) -> str:
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise errors.BadInput(f"marker must be the UUID of the last object of the page before, not '{given}'") from None


def _limit(call: Call) -> int:
    given = call.query.get("limit")
    if given is None:
        return MAX_LIMIT
    if not (given.isascii() and given.isdigit() and given.strip("0")):
        raise errors.BadInput("limit must be a number above 0")
    return min(int(given.lstrip("0")[:9]), MAX_LIMIT)
