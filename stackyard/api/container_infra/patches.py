# SPDX-License-Identifier: Apache-2.0
"""JSON patch (RFC 6902) as Magnum's clients send it: `/field` and `/labels/key`; used by the nouns' PATCH.

An `add` replaces what is there, as the RFC has it. Terraform's provider sends dictionaries in Python's own spelling,
in a string, so these are understood for the fields that are dictionaries.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.model import errors

Labels = Mapping[str, Mapping[str, str]]
"""Present values of the fields that have parts, by field: `labels`, `node_labels`."""

DICTIONARIES = ("labels", "node_labels", "node_taints", "health_status_reason")
INTERNAL = frozenset({"created_at", "id", "links", "updated_at", "uuid", "project_id", "user_id"})


def changes(
    patch: Sequence[Mapping[str, Any]], present: Labels | None = None, mandatory: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return new values by field, None for what is removed; `present` has the parts that `/labels/key` changes.

    Raises BadInput for fields that nobody may change and for removal of what is `mandatory`.
    """
    result: dict[str, Any] = {}
    for operation in patch:
        field, _, key = operation["path"].lstrip("/").partition("/")
        _check(field, operation, mandatory)
        value = _value(operation)
        if not key:
            result[field] = _literal(field, value) if field in DICTIONARIES else value
        elif field in (present or {}):
            known = result[field] if field in result else (present or {})[field]
            result[field] = _keyed(dict(known or {}), _unescaped(key), operation["op"], value)
        else:
            raise errors.BadInput(f"can't change {operation['path'][:64]}: {field[:64]} has no parts")
    return result


def _check(field: str, operation: Mapping[str, Any], mandatory: frozenset[str]) -> None:
    if field in INTERNAL:
        raise errors.BadInput(f"'/{field}' is an internal attribute and can not be updated")
    if operation["op"] == "remove" and field in mandatory and operation["path"] == f"/{field}":
        raise errors.BadInput(f"'/{field}' is a mandatory attribute and can not be removed")


def _value(operation: Mapping[str, Any]) -> Any:
    if operation["op"] == "remove":
        return None
    if operation.get("value") is None:
        raise errors.BadInput(f"{operation['op']} {operation['path'][:64]} needs a value; 'remove' needs none")
    return operation["value"]


def _keyed(labels: dict[str, Any], key: str, op: str, value: Any) -> dict[str, Any]:
    if op != "add" and key not in labels:
        raise errors.BadInput(f"can't {op} label '{key[:64]}': there is none of that name")
    labels.pop(key, None)
    return labels if op == "remove" else {**labels, key: value}


def _unescaped(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")


def _literal(field: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value[:65536])
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise errors.BadInput(f"{field} must be an object of strings") from None
