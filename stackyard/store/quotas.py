# SPDX-License-Identifier: Apache-2.0
"""Quotas and their use, taken in the same transaction as the object: two at once can't both have the last one."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from stackyard.model import errors
from stackyard.model.records import utcnow
from stackyard.store import tables


class Quotas:
    """Rows of quotas: a project's limit (None: the platform's default) and what is in use."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def take(self, project_id: str, resource: str, default: int) -> None:
        """Use one more; raises QuotaExceeded when the limit (or `default`) is reached."""
        self._ensure(project_id, resource)
        table = tables.quotas
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

    def _ensure(self, project_id: str, resource: str) -> None:
        if self.connection.execute(sa.select(tables.quotas.c.id).where(*self._row(project_id, resource))).first():
            return
        values = {"project_id": project_id, "resource": resource, "created_at": utcnow()}
        try:
            with self.connection.begin_nested():
                self.connection.execute(tables.quotas.insert().values(**values))
        except IntegrityError:
            return  # another request made it just now

    def _row(self, project_id: str, resource: str) -> tuple[sa.ColumnElement[bool], ...]:
        return tables.quotas.c.project_id == project_id, tables.quotas.c.resource == resource
