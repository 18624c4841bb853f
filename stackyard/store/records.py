# SPDX-License-Identifier: Apache-2.0
"""What the repositories of all nouns share: insert, look up, list, change of intent.

Called by intents and the worker inside a transaction of `stackyard.store.Store`.
"""

from __future__ import annotations

import builtins
import dataclasses
import datetime
import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from stackyard.model import errors, phase
from stackyard.model.records import Event, Record, utcnow
from stackyard.store import tables
from stackyard.store.mapping import Mapper

T = TypeVar("T")
R = TypeVar("R", bound=Record)


@dataclasses.dataclass(frozen=True)
class Page:
    """A slice of a list. `marker` is the id of the last object of the page before; `sort` names a column."""

    limit: int | None = None
    marker: str | None = None
    sort: str = "created_at"
    descending: bool = False


class Repository(Generic[T]):
    """Rows of one noun as records. `word` is what messages call it."""

    mapper: Mapper[T]
    word: str

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    @property
    def table(self) -> sa.Table:
        """Return the noun's table."""
        return self.mapper.table

    def insert(self, record: T) -> T:
        """Write a new row; raises Conflict when its name or number is taken."""
        try:
            with self.connection.begin_nested():
                self.connection.execute(self.table.insert().values(**self.row(record)))
        except IntegrityError as error:
            name = getattr(record, "name", "")
            raise errors.Conflict(f"there is a {self.word} named '{name}' already") from error
        return record

    def row(self, record: T) -> dict[str, Any]:
        """Return the column values of a new row."""
        return self.mapper.to_row(record)

    def get(self, object_id: str) -> T:
        """Return one by id; raises NotFound."""
        found = self.known(object_id)
        if found is None:
            raise errors.NotFound(f"{self.word} '{object_id}' could not be found")
        return found

    def known(self, object_id: str) -> T | None:
        """Return one by id; None where there is none (any more)."""
        found = self.select(self.table.c.id == object_id)
        return found[0] if found else None

    def find(self, ident: str, project_id: str | None) -> T:
        """Return one by id or name within a project (None: any); raises NotFound, or Conflict for one of several."""
        own = self.within(project_id)
        # One after the other, each by its index: "or" would look at all rows of the project.
        found = self.select(self.table.c.id == ident, *own) or self.select(self.table.c.name == ident, *own)
        if not found:
            raise errors.NotFound(f"{self.word} '{ident}' could not be found")
        if len(found) > 1:
            raise errors.Conflict(f"there are several {self.word}s named '{ident}'; use the id")
        return found[0]

    def within(self, project_id: str | None) -> builtins.list[sa.ColumnElement[bool]]:
        """Return the conditions that keep a project to its own rows."""
        return [] if project_id is None else [self.table.c.project_id == project_id]

    def list(self, project_id: str | None = None, page: Page | None = None, **equal: object) -> builtins.list[T]:
        """Return a project's rows (None: all projects'), optionally a page, with columns equal to what is given."""
        where = [*self.within(project_id), *(self.table.c[name] == value for name, value in equal.items())]
        return self.select(*where, page=page or Page())

    def count(self, *where: sa.ColumnElement[bool]) -> int:
        """Return how many rows there are."""
        statement = sa.select(sa.func.count()).select_from(self.table).where(*where)
        return int(self.connection.execute(statement).scalar_one())

    def delete(self, object_id: str) -> None:
        """Remove the row, if it is there."""
        self.connection.execute(self.table.delete().where(self.table.c.id == object_id))

    def select(self, *where: sa.ColumnElement[bool], page: Page | None = None) -> builtins.list[T]:
        """Return the records that fulfil all conditions, oldest first unless the page says otherwise."""
        statement = self.table.select().where(*where)
        if page:
            statement = self._paged(statement, page)
        result = self.connection.execute(statement)
        read = self.mapper.reader(tuple(result.keys()))
        return [read(row) for row in result.all()]

    def _paged(self, statement: sa.Select[Any], page: Page) -> sa.Select[Any]:
        columns = self._order(page)
        if page.marker:
            statement = statement.where(self._beyond(columns, page))
        order = [column.desc() if page.descending else column.asc() for column in columns]
        return statement.order_by(*order).limit(page.limit)

    def _order(self, page: Page) -> builtins.list[sa.ColumnElement[Any]]:
        """Return what decides the order: the column asked for, then age, then the id, so that no two are equal."""
        if page.sort not in self.table.c:
            raise errors.BadInput(f"can't sort by '{page.sort}'")
        return [_sortable(self.table.c[name]) for name in dict.fromkeys((page.sort, "created_at", "id"))]

    def _beyond(self, columns: Sequence[sa.ColumnElement[Any]], page: Page) -> sa.ColumnElement[bool]:
        """Return "after the marker in sort order" (keyset paging: stable while rows come and go)."""
        number_or_text = self.table.c.id.type.python_type  # PostgreSQL compares like with like only
        last = self.table.c.id == number_or_text(page.marker)
        marker = self.connection.execute(sa.select(*columns).where(last)).one_or_none()
        if marker is None:
            raise errors.BadInput(f"marker '{page.marker}' could not be found")
        ways = []
        for at, column in enumerate(columns):
            same = [earlier == value for earlier, value in zip(columns[:at], marker, strict=False)]
            ways.append(sa.and_(*same, column < marker[at] if page.descending else column > marker[at]))
        return sa.or_(*ways)


class Numbered(Repository[T]):
    """Rows that an application counts from 1."""

    def number(self, app_id: str, number: int) -> T:
        """Return the one with this number; raises NotFound."""
        found = self.select(self.table.c.app_id == app_id, self.table.c.number == number)
        if not found:
            raise errors.NotFound(f"there is no {self.word} {number}")
        return found[0]

    def meant(self, app_id: str, ident: str, word: str) -> T:
        """Return the one of an application by number or id; raises NotFound, which calls it `word`."""
        if ident.isascii() and ident.isdigit() and len(ident) < 10:
            return self.number(app_id, int(ident))
        found = self.get(ident)
        if getattr(found, "app_id", None) != app_id:
            raise errors.NotFound(f"there is no {word} '{ident}'")
        return found

    def next_number(self, app_id: str) -> int:
        """Return the number that the next one gets."""
        table = self.table
        newest = sa.select(sa.func.max(table.c.number)).where(table.c.app_id == app_id)
        return (self.connection.execute(newest).scalar() or 0) + 1


class Scheduled(Repository[R]):
    """Rows that the worker looks after."""

    def row(self, record: R) -> dict[str, Any]:
        """Return the column values of a new row, due at once."""
        return {**self.mapper.to_row(record), "due": time.time()}

    def insert(self, record: R) -> R:
        """Write a new row, due at once, with its first event."""
        super().insert(record)
        self.note(record, "created", f"{self.word} {record.name} asked for")
        return record

    def change(
        self,
        record: R,
        trigger: phase.Trigger,
        message: str,
        *,
        deadline: datetime.datetime | None = None,
        **fields: object,
    ) -> R:
        """Write new intent: next phase, next generation, event; raises Conflict when the phase forbids it."""
        current = self._locked(record.id)
        changed = dataclasses.replace(
            current,
            **fields,  # type: ignore[arg-type]
            phase=phase.after(current.phase, trigger),
            generation=current.generation + 1,
            status_reason=None,
            deadline=deadline,
            updated_at=utcnow(),
        )
        values = self.mapper.to_row(changed)
        values.pop("observed")
        # A worker that holds the row is fenced off, so that it looks again with the new intent.
        values |= {"due": time.time(), "attempts": 0}
        self.connection.execute(self.table.update().where(self.table.c.id == record.id).values(**values))
        self.note(changed, trigger.value, message)
        return changed

    def nudge(self, object_id: str) -> None:
        """Make the row due now, without a change."""
        self.connection.execute(self.table.update().where(self.table.c.id == object_id).values(due=time.time()))

    def hasten(self, object_id: str | None, at: float) -> None:
        """Make a row (None: all) due at that time (seconds since the epoch), or sooner if it is so already.

        One that is being worked on is looked at once more after that.
        """
        table = self.table
        later = sa.or_(table.c.due > at, table.c.lease_until > time.time())
        which = [] if object_id is None else [table.c.id == object_id]
        self.connection.execute(table.update().where(later, *which).values(due=at))

    def note(self, record: Record, kind: str, message: str) -> None:
        """Write one line of history."""
        event = Event(
            noun=self.table.name, object_id=record.id, project_id=record.project_id, kind=kind, message=message
        )
        insert(self.connection, event)

    def _locked(self, object_id: str) -> R:
        statement = self.table.select().where(self.table.c.id == object_id).with_for_update()
        row = self.connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise errors.NotFound(f"{self.word} '{object_id}' could not be found")
        return self.mapper.from_row(row)


def insert(connection: sa.Connection, event: Event) -> None:
    """Write an event in the caller's transaction."""
    values = dataclasses.asdict(event)
    del values["id"]
    connection.execute(tables.events.insert().values(**values))


def _sortable(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return a column as it is compared: what may be null comes first, as no text, since null is never beyond."""
    plain = sa.type_coerce(column, column.type.impl) if isinstance(column.type, tables.UTCTime) else column
    return sa.func.coalesce(plain, "") if column.nullable and isinstance(plain.type, sa.String) else plain
