# SPDX-License-Identifier: Apache-2.0
"""History: one line per change, written in the change's own transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa

from stackyard.model.records import Event
from stackyard.store import records, tables


class Events:
    """Rows of events."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def insert(self, event: Event) -> None:
        """Write one line."""
        records.insert(self.connection, event)

    def of(self, object_ids: Sequence[str], limit: int = 1000) -> list[Event]:
        """Return the newest events of these objects, oldest first."""
        table = tables.events
        statement = table.select().where(table.c.object_id.in_(object_ids)).order_by(table.c.id.desc()).limit(limit)
        names = {field.name for field in dataclasses.fields(Event)}
        rows = self.connection.execute(statement).mappings().all()
        return [Event(**{name: row[name] for name in names}) for row in reversed(rows)]
