# SPDX-License-Identifier: Apache-2.0
"""Paging as Magnum does it: `limit`, `marker`, `sort_key`, `sort_dir`, and a `next` link after a full page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from stackyard.api.call import Call
from stackyard.model import errors
from stackyard.store import Page

MAX_LIMIT = 1000
Columns = Mapping[str, str]


def page(call: Call, columns: Columns) -> Page:
    """Return the page asked for; `columns` maps the keys that one may sort by; raises BadInput."""
    key, direction = call.query.get("sort_key", "id"), call.query.get("sort_dir", "asc")
    if key not in columns:
        raise errors.BadInput(f"sort_key must be one of: {', '.join(sorted(columns))}")
    if direction not in ("asc", "desc"):
        raise errors.BadInput("sort_dir must be 'asc' or 'desc'")
    return Page(_limit(call), call.query.get("marker") or None, columns[key], direction == "desc")


def paged(call: Call, path: str, name: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a list with its `next` link, which is there when the page is full."""
    if len(items) < _limit(call):
        return {name: items}
    query = {
        "sort_key": call.query.get("sort_key", "id"),
        "sort_dir": call.query.get("sort_dir", "asc"),
        "limit": _limit(call),
        "marker": items[-1]["uuid"],
    }
    return {name: items, "next": f"{call.url}/v1/{path}?{urlencode(query)}"}


def _limit(call: Call) -> int:
    given = call.query.get("limit")
    if given is None:
        return MAX_LIMIT
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) > 0):
        raise errors.BadInput("limit must be a number above 0")
    return min(int(given), MAX_LIMIT)
