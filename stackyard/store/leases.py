# SPDX-License-Identifier: Apache-2.0
"""The only concurrency code: leases by one conditional UPDATE, saves fenced by epoch.

A worker takes a due row (epoch + 1), works, and saves only while its epoch still holds. A worker that
was killed leaves nothing but a lease that ends; one that was merely slow finds its save refused.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from stackyard.model import errors, phase
from stackyard.model.records import Lease, Record, utcnow
from stackyard.store import Store, Transaction
from stackyard.store.records import Scheduled

R = TypeVar("R", bound=Record)
CANDIDATES = 8

Also = Callable[[Transaction], None]
"""More to be written in the same transaction as a save."""


class Leases:
    """Leases on the rows of one noun; `rows` picks its repository from a transaction."""

    def __init__(self, store: Store, rows: Callable[[Transaction], Scheduled[Any]], seconds: float) -> None:
        self.store = store
        self.rows = rows
        self.seconds = seconds
        self._held_now: dict[str, Lease] = {}

    def acquire(self) -> tuple[Lease, Any] | None:
        """Take one due row; return its lease and record, or None when nothing is due."""
        now = time.time()
        with self.store.reading() as tx:
            due = self._due(self.rows(tx), now)
        # Workers that wake at the same moment spread over the candidates instead of all losing to one.
        for object_id, epoch in random.sample(due, len(due)):
            taken = self._take(object_id, epoch)
            if taken:
                self._held_now[object_id] = taken[0]
                return taken
        return None

    def next_due(self) -> float | None:
        """Return when (seconds since the epoch) the next row will be due, or None when there is none."""
        with self.store.reading() as tx:
            table = self.rows(tx).table
            free = sa.case((table.c.due > table.c.lease_until, table.c.due), else_=table.c.lease_until)
            return tx.connection.execute(sa.select(sa.func.min(free))).scalar()

    def renew_held(self) -> None:
        """Renew all leases of this process, so that nobody takes over what merely takes long."""
        for lease in list(self._held_now.values()):
            try:
                self.renew(lease)
            except errors.Fenced:
                self._held_now.pop(lease.object_id, None)

    def _due(self, rows: Scheduled[Any], now: float) -> list[tuple[str, int]]:
        table = rows.table
        statement = (
            sa.select(table.c.id, table.c.epoch)
            .where(table.c.due <= now, table.c.lease_until <= now)
            .order_by(table.c.due)
            .limit(CANDIDATES)
        )
        return [(row.id, row.epoch) for row in rows.connection.execute(statement)]

    def _take(self, object_id: str, epoch: int) -> tuple[Lease, Any] | None:
        until = time.time() + self.seconds
        with self.store.saving() as tx:
            rows = self.rows(tx)
            if not self._update(rows, object_id, epoch, {"epoch": epoch + 1, "lease_until": until}):
                return None
            row = rows.connection.execute(rows.table.select().where(rows.table.c.id == object_id)).mappings().one()
            lease = Lease(rows.table.name, object_id, epoch + 1, until, row["due"], row["attempts"])
            return lease, rows.mapper.from_row(row)

    def renew(self, lease: Lease) -> Lease:
        """Hold the row for another lease; raises Fenced when somebody else has it."""
        until = time.time() + self.seconds
        with self.store.saving() as tx:
            rows = self.rows(tx)
            # The keeper's thread may come just after the row was given back: what is free must stay free.
            held = rows.table.c.lease_until > 0
            if not self._update(rows, lease.object_id, lease.epoch, {"lease_until": until}, held):
                raise errors.Fenced(lease.object_id)
        return dataclasses.replace(lease, until=until)

    def refresh(self, lease: Lease) -> Any:
        """Return the record as it is now; raises Fenced when the lease was lost or the row is gone."""
        with self.store.reading() as tx:
            rows = self.rows(tx)
            return rows.mapper.from_row(self._held(rows, lease))

    def save(
        self,
        lease: Lease,
        record: R,
        trigger: phase.Trigger | None = None,
        note: tuple[str, str] | None = None,
        also: Also | None = None,
    ) -> R:
        """Write the worker's half of the record; return the whole row as it is now.

        The phase moves by `trigger`, and `also` is written, only if nobody changed the intent meanwhile. `note` is
        an event's (kind, message). Raises Fenced, and writes nothing, when the lease was lost.
        """
        with self.store.saving() as tx:
            rows = self.rows(tx)
            current = self._held(rows, lease)
            same = current["generation"] == record.generation
            values: dict[str, Any] = {"observed": rows.mapper.document("observed", record), "attempts": 0}
            values["status_reason"] = record.status_reason if same else current["status_reason"]
            if trigger and same:
                values |= self._moved(current, trigger)
            where = rows.table.c.id == lease.object_id
            rows.connection.execute(rows.table.update().where(where).values(**values))
            if note:
                rows.note(record, *note)
            if also and same:
                also(tx)
            saved: R = rows.mapper.from_row(rows.connection.execute(rows.table.select().where(where)).mappings().one())
        if also:
            self.store.wake()
        return saved

    def release(self, lease: Lease, after: float, attempts: int = 0) -> None:
        """Give the row back, due again in `after` seconds; at once if its intent changed meanwhile."""
        self._held_now.pop(lease.object_id, None)
        with self.store.saving() as tx:
            rows = self.rows(tx)
            # A request or a nudge that came meanwhile has set `due` anew: that wish must not wait.
            due = sa.case((rows.table.c.due != lease.due, rows.table.c.due), else_=time.time() + after)
            values = {"lease_until": 0, "due": due, "attempts": attempts}
            if not self._update(rows, lease.object_id, lease.epoch, values):
                raise errors.Fenced(lease.object_id)

    def remove(self, lease: Lease, record: Record, also: Also = lambda _: None) -> None:
        """Remove the row of an object of which nothing is left; its history stays."""
        self._held_now.pop(lease.object_id, None)
        with self.store.saving() as tx:
            rows = self.rows(tx)
            self._held(rows, lease)
            rows.note(record, "gone", f"{rows.word} {record.name} is gone")
            also(tx)
            rows.delete(lease.object_id)

    def _update(
        self,
        rows: Scheduled[Any],
        object_id: str,
        epoch: int,
        values: dict[str, Any],
        *where: sa.ColumnElement[bool],
    ) -> bool:
        table = rows.table
        statement = table.update().where(table.c.id == object_id, table.c.epoch == epoch, *where).values(values)
        return rows.connection.execute(statement).rowcount == 1

    def _held(self, rows: Scheduled[Any], lease: Lease) -> sa.RowMapping:
        table = rows.table
        statement = table.select().where(table.c.id == lease.object_id, table.c.epoch == lease.epoch).with_for_update()
        row = rows.connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise errors.Fenced(lease.object_id)
        return row

    def _moved(self, row: sa.RowMapping, trigger: phase.Trigger) -> dict[str, Any]:
        moved: dict[str, Any] = {"phase": phase.after(phase.Phase(row["phase"]), trigger).value, "deadline": None}
        if moved["phase"] != row["phase"]:
            moved["updated_at"] = utcnow()
        if trigger is phase.Trigger.REACHED:
            moved["observed_generation"] = row["generation"]
        return moved
