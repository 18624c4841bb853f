# SPDX-License-Identifier: Apache-2.0
"""JSON patch (RFC 6902) as Magnum's clients send it: `/field` and `/labels/key`; used by the nouns' PATCH."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.model import errors

_MISSING = object()


def changes(patch: Sequence[Mapping[str, Any]], labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return new values by field, None for what is removed; `labels` are those that `/labels/key` changes."""
    result: dict[str, Any] = {}
    for operation in patch:
        field, _, key = operation["path"].lstrip("/").partition("/")
        value = _value(operation)
        if key and field != "labels":
            raise errors.BadInput(f"can't change {operation['path'][:64]}: only labels have parts")
        if key:
            result["labels"] = _keyed(dict(result.get("labels", labels or {})), key, value)
        else:
            result[field] = _literal(value) if field == "labels" else value
    return result


def _value(operation: Mapping[str, Any]) -> Any:
    if operation["op"] == "remove":
        return None
    value = operation.get("value", _MISSING)
    if value is _MISSING:
        raise errors.BadInput(f"{operation['op']} {operation['path'][:64]} needs a value")
    return value


def _keyed(labels: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    labels.pop(key, None)
    return labels if value is None else {**labels, key: value}


def _literal(value: Any) -> Any:
    # Terraform's provider sends a dictionary in Python's own spelling, in a string.
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value[:65536])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise errors.BadInput("labels must be an object of strings") from None
