# SPDX-License-Identifier: Apache-2.0
"""Between frozen dataclasses and rows. Used by the store's own files only."""

from __future__ import annotations

import dataclasses
import datetime
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import cattrs
import sqlalchemy as sa

from stackyard.model.phase import Phase

T = TypeVar("T")
_PHASES = {phase.value: phase for phase in Phase}

# Rows are our own: detailed reports of what does not fit would make every list slower.
converter = cattrs.Converter(detailed_validation=False)
converter.register_unstructure_hook(datetime.datetime, lambda value: value.isoformat())
converter.register_structure_hook(datetime.datetime, lambda value, _: datetime.datetime.fromisoformat(value))
# `object` marks values that pass through as JSON has them (foreign attributes that we only keep).
converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)


_readers: dict[tuple[int, tuple[str, ...]], Callable[[Sequence[Any]], Any]] = {}


@dataclasses.dataclass(frozen=True)
class Mapper(Generic[T]):
    """How one noun is kept: which fields are columns, which go to which JSON column.

    `documents` maps a JSON column to the names of the fields in it; the columns are all the rest.
    """

    cls: type[T]
    table: sa.Table
    documents: Mapping[str, frozenset[str]]

    def to_row(self, record: T) -> dict[str, Any]:
        """Return column values for a record."""
        stored = frozenset().union(*self.documents.values())
        names = {field.name for field in dataclasses.fields(self.cls)} - stored  # type: ignore[arg-type]
        row: dict[str, Any] = {name: getattr(record, name) for name in names}
        for column in self.documents:
            row[column] = self.document(column, record)
        return row

    def document(self, column: str, record: T) -> dict[str, Any]:
        """Return the content of one JSON column."""
        return {name: converter.unstructure(getattr(record, name)) for name in sorted(self.documents[column])}

    def from_row(self, row: sa.RowMapping) -> T:
        """Return the record that a row holds; scheduling columns are left out."""
        return self.reader(tuple(row.keys()))(tuple(row.values()))

    def reader(self, names: tuple[str, ...]) -> Callable[[Sequence[Any]], T]:
        """Return what turns rows with these columns into records; made once per mapper, for lists are long."""
        key = (id(self), names)
        if key not in _readers:
            _readers[key] = self._reader(names)
        return cast(Callable[[Sequence[Any]], T], _readers[key])

    def _reader(self, names: tuple[str, ...]) -> Callable[[Sequence[Any]], T]:
        hints = typing.get_type_hints(self.cls)
        plain = [(name, at) for at, name in enumerate(names) if name in hints and name not in self.documents]
        documents = [(names.index(column), fields) for column, fields in self.documents.items()]
        hooks = [(at, _hooks(hints, fields)) for at, fields in documents]
        phased = names.index("phase") if "phase" in hints and "phase" in names else None

        def read(row: Sequence[Any]) -> T:
            values = {name: row[at] for name, at in plain}
            for at, fields in documents:
                values |= row[at] if row[at].keys() <= fields else _known(row[at], fields)
            for at, structured in hooks:
                for name, hook in structured:
                    if name in row[at]:
                        values[name] = hook(row[at][name])
            if phased is not None:
                values["phase"] = _PHASES[row[phased]]
            return self.cls(**values)

        return read


def _known(document: Mapping[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """Return a document without what a newer or an older version kept in it."""
    return {name: value for name, value in document.items() if name in fields}


def _hooks(hints: Mapping[str, Any], fields: frozenset[str]) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return what makes values of JSON's, for the fields that are something else: most are not."""
    return [(name, _hook(hints[name])) for name in sorted(fields) if not _as_json_has_it(hints[name])]


def _hook(hint: Any) -> Callable[[Any], Any]:
    structure = converter.get_structure_hook(hint)
    return lambda value: structure(value, hint)


def _as_json_has_it(hint: Any) -> bool:
    if typing.get_origin(hint) in (dict, list, types.UnionType, typing.Union):
        return all(map(_as_json_has_it, typing.get_args(hint)))
    return hint in (str, int, bool, object, types.NoneType)


def mapper(cls: type[T], table: sa.Table, **owned: frozenset[str]) -> Mapper[T]:
    """Return a mapper: fields that are no columns go to the first JSON column but those named in `owned`."""
    columns = set(table.columns.keys()) - owned.keys()
    named = frozenset().union(*owned.values()) if owned else frozenset()
    fields = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    first = "intent" if "intent" in columns else "body"
    return Mapper(cls, table, {first: frozenset(fields - columns - named), **owned})
