# SPDX-License-Identifier: Apache-2.0
"""Heartbeats of the platform's services: a row for each host."""

from __future__ import annotations

import sqlalchemy as sa

from stackyard.model.records import utcnow
from stackyard.model.services import WORKER, Service
from stackyard.store import database, tables
from stackyard.store.mapping import Mapper

_MAPPER: Mapper[Service] = Mapper(Service, tables.services, {})


class Services:
    """Rows of services."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def beat(self, host: str, binary: str = WORKER) -> None:
        """Report that the host is at work."""
        if not self._beat(host, binary):
            # Only now, since on some databases each attempt to insert uses up an id.
            row = {"host": host, "binary": binary, "created_at": utcnow()}
            database.insert_if_absent(self.connection, tables.services, row)
            self._beat(host, binary)

    def list(self) -> list[Service]:
        """Return all services, the first known first."""
        result = self.connection.execute(tables.services.select().order_by(tables.services.c.id))
        read = _MAPPER.reader(tuple(result.keys()))
        return [read(row) for row in result]

    def _beat(self, host: str, binary: str) -> bool:
        table = tables.services
        mine = (table.c.host == host, table.c.binary == binary)
        count = {"report_count": table.c.report_count + 1, "updated_at": utcnow()}
        return self.connection.execute(table.update().where(*mine).values(**count)).rowcount > 0
