# SPDX-License-Identifier: Apache-2.0
"""Quotas and their use, taken in the same transaction as the object: two at once can't both have the last one."""

from __future__ import annotations

import sqlalchemy as sa

from stackyard.model import errors
from stackyard.model.records import utcnow
from stackyard.store import database, tables


class Quotas:
    """Rows of quotas: a project's limit (None: the platform's default) and what is in use."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def take(self, project_id: str, resource: str, default: int) -> None:
        """Use one more; raises QuotaExceeded when the limit (or `default`) is reached."""
        table = tables.quotas
        row = {"project_id": project_id, "resource": resource, "created_at": utcnow()}
        database.insert_if_absent(self.connection, table, row)
        free = table.c.in_use < sa.func.coalesce(table.c.hard_limit, default)
        statement = table.update().where(*self._row(project_id, resource), free).values(in_use=table.c.in_use + 1)
        if self.connection.execute(statement).rowcount != 1:
            raise errors.QuotaExceeded(
                f"Resource limit exceeded: {self.get(project_id, resource, default)} {resource}s"
            )

    def give_back(self, project_id: str, resource: str) -> None:
        """Use one less."""
        table = tables.quotas
        statement = table.update().where(*self._row(project_id, resource), table.c.in_use > 0)
        self.connection.execute(statement.values(in_use=table.c.in_use - 1))

    def get(self, project_id: str, resource: str, default: int) -> int:
        """Return a project's limit."""
        table = tables.quotas
        found = self.connection.execute(sa.select(table.c.hard_limit).where(*self._row(project_id, resource))).scalar()
        return default if found is None else int(found)

    def _row(self, project_id: str, resource: str) -> tuple[sa.ColumnElement[bool], ...]:
        return tables.quotas.c.project_id == project_id, tables.quotas.c.resource == resource
