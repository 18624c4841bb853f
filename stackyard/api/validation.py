# SPDX-License-Identifier: Apache-2.0
"""Checks of what clients send: JSON text, and bodies against a schema. Messages name the field, never its value.

Used by the dispatcher. Values are left out of messages since they may be secrets, or megabytes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator

from stackyard.model import errors

_TYPES = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
)
_Strict: Any = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=_TYPES)  # type: ignore[no-untyped-call]
_ARTICLES = {"integer": "an integer", "object": "an object", "array": "a list", "null": "null", "boolean": "a boolean"}
_BOUNDS = {
    "minimum": "must be at least",
    "maximum": "must be at most",
    "maxLength": "must have at most this many characters:",
    "minLength": "must have at least this many characters:",
    "maxItems": "must have at most this many items:",
    "minItems": "must have at least this many items:",
    "maxProperties": "must have at most this many keys:",
    "minProperties": "must have at least this many keys:",
}


def parse(text: bytes) -> Any:
    """Return the value of JSON text; raises BadInput for anything that is none or that no database keeps."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise errors.BadInput(f"the body is not valid JSON: {_first_line(error)}") from None
    _check_text(value)
    return value


def check(schema: Mapping[str, Any], value: Any) -> None:
    """Raise BadInput naming the field that does not fit the schema."""
    error = best_match(_validator(_Key(schema)).iter_errors(value))
    if error is not None:
        raise errors.BadInput(_message(error))


def storable(text: str) -> bool:
    """Tell whether every database keeps this text: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


class _Key:
    """A schema as a key of a cache: schemas are constants, so the object itself identifies it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@functools.cache
def _validator(key: _Key) -> Validator:
    return _Strict(key.schema)  # type: ignore[no-any-return]


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _first_line(error: Exception) -> str:
    return "too deeply nested" if isinstance(error, RecursionError) else str(error).splitlines()[0][:120]


def _check_text(value: Any) -> None:
    # A walk without recursion: what the parser let in may still be a thousand levels deep.
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str) and not storable(item):
            raise errors.BadInput("the body has a string with a NUL or half of a surrogate pair in it")
        if isinstance(item, dict):
            left.extend(item.keys())
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)


def _message(error: Any) -> str:
    where = ".".join(_short(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        names = [_short(name) for name in _unknown(error)]
        return f"Unknown attribute: {', '.join(names[:5])}" + (f" (in {where})" if where else "")
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{'.'.join(filter(None, [where, missing[0]]))} is required"
    return f"{where or 'the body'} {_complaint(error)}"


def _unknown(error: Any) -> Iterable[str]:
    known = error.schema.get("properties", {})
    return sorted(name for name in error.instance if name not in known)


def _complaint(error: Any) -> str:
    kind, limit = str(error.validator), error.validator_value
    if kind == "type":
        return "must be " + _either(limit)
    if kind == "enum":
        return "must be one of: " + ", ".join(str(value) for value in limit if value is not None)
    if kind in _BOUNDS:
        return f"{_BOUNDS[kind]} {limit}"
    return str(error.schema.get("description") or "has a form that is not accepted")


def _either(types: str | list[str]) -> str:
    names = [types] if isinstance(types, str) else types
    return " or ".join(_ARTICLES.get(name, f"a {name}") for name in names)


def _short(name: object) -> str:
    return str(name)[:64]
