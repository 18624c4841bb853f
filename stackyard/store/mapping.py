# SPDX-License-Identifier: Apache-2.0
"""Between frozen dataclasses and rows. Used by the store's own files only."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import typing
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import cattrs
import sqlalchemy as sa

T = TypeVar("T")

converter = cattrs.Converter()
converter.register_unstructure_hook(datetime.datetime, lambda value: value.isoformat())
converter.register_structure_hook(datetime.datetime, lambda value, _: datetime.datetime.fromisoformat(value))
# `object` marks values that pass through as JSON has them (foreign attributes that we only keep).
converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)


@functools.cache
def _hints(cls: typing.Hashable) -> dict[str, Any]:
    return typing.get_type_hints(cls)


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
        hints = _hints(typing.cast(typing.Hashable, self.cls))
        values: dict[str, Any] = {}
        for column, names in self.documents.items():
            kept = {name: value for name, value in row[column].items() if name in names}
            values.update({name: converter.structure(value, hints[name]) for name, value in kept.items()})
        for name in hints.keys() & row.keys() - self.documents.keys():
            value = row[name]
            values[name] = hints[name](value) if name == "phase" else value
        return self.cls(**values)


def mapper(cls: type[T], table: sa.Table, **owned: frozenset[str]) -> Mapper[T]:
    """Return a mapper: fields that are no columns go to the first JSON column but those named in `owned`."""
    columns = set(table.columns.keys()) - owned.keys()
    named = frozenset().union(*owned.values()) if owned else frozenset()
    fields = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    first = "intent" if "intent" in columns else "body"
    return Mapper(cls, table, {first: frozenset(fields - columns - named), **owned})
