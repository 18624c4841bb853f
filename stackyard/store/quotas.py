# SPDX-License-Identifier: Apache-2.0
"""Quotas and their use, taken in the same transaction as the object: two at once can't both have the last one.

A row holds both: what is in use stays when the limit that was set for a project is taken away again.
"""

from __future__ import annotations

import builtins
from typing import Any

import sqlalchemy as sa

from stackyard.model import errors
from stackyard.model.quotas import Quota
from stackyard.model.records import utcnow
from stackyard.store import database, tables
from stackyard.store.mapping import Mapper
from stackyard.store.records import Page, Repository


class Quotas(Repository[Quota]):
    """Rows of quotas: a project's limit (NULL: the platform's default) and what is in use."""

    word = "quota"
    mapper = Mapper(Quota, tables.quotas, {})

    def take(self, project_id: str, resource: str, default: int) -> None:
        """Use one more; raises QuotaExceeded when the limit (or `default`) is reached."""
        table = self.table
        self._ensure(project_id, resource)
        free = table.c.in_use < sa.func.coalesce(table.c.hard_limit, default)
        if not self._change(project_id, resource, free, in_use=table.c.in_use + 1):
            set_one = self.of(project_id, resource)
            limit, word = set_one.hard_limit if set_one else default, resource.lower()
            raise errors.QuotaExceeded(
                f"Resource limit exceeded: You have reached the maximum {word}s per project, {limit}. "
                f"You may delete a {word} to make room for a new one."
            )

    def give_back(self, project_id: str, resource: str) -> None:
        """Use one less."""
        table = self.table
        self._change(project_id, resource, table.c.in_use > 0, in_use=table.c.in_use - 1)

    def of(self, project_id: str, resource: str) -> Quota | None:
        """Return the limit that was set for a project, or None."""
        found = self.select(*self._row(project_id, resource), self._is_set())
        return found[0] if found else None

    def listed(self, project_id: str | None, page: Page) -> builtins.list[Quota]:
        """Return a page of the limits that were set (for a project, None: for all)."""
        return self.select(self._is_set(), *self.within(project_id), page=page)

    def set(self, project_id: str, resource: str, limit: int) -> Quota:
        """Set a limit; raises Conflict when one was set before."""
        self._ensure(project_id, resource)
        values = {"hard_limit": limit, "created_at": utcnow(), "updated_at": None}
        if not self._change(project_id, resource, sa.not_(self._is_set()), **values):
            raise errors.Conflict(f"Quota for project {project_id} already exists for resource {resource}.")
        return self._there(project_id, resource)

    def change(self, project_id: str, resource: str, limit: int) -> Quota:
        """Change a limit that was set; raises NotFound where none was."""
        self._change_set(project_id, resource, hard_limit=limit, updated_at=utcnow())
        return self._there(project_id, resource)

    def unset(self, project_id: str, resource: str) -> None:
        """Take a limit away, so that the platform's default counts again; raises NotFound where none was set."""
        self._change_set(project_id, resource, hard_limit=None, updated_at=None)

    def numbered(self, number: str) -> Quota | None:
        """Return the limit with this id, or None."""
        found = self.select(self.table.c.id == int(number), self._is_set())
        return found[0] if found else None

    def _there(self, project_id: str, resource: str) -> Quota:
        found = self.of(project_id, resource)
        assert found is not None
        return found

    def _change_set(self, project_id: str, resource: str, **values: Any) -> None:
        if not self._change(project_id, resource, self._is_set(), **values):
            raise errors.NotFound(f"Quota could not be found: project_id {project_id} resource {resource}.")

    def _ensure(self, project_id: str, resource: str) -> None:
        row = {"project_id": project_id, "resource": resource, "created_at": utcnow()}
        database.insert_if_absent(self.connection, self.table, row)

    def _change(self, project_id: str, resource: str, when: sa.ColumnElement[bool], **values: Any) -> bool:
        """Change the row if the condition holds; return whether it did."""
        statement = self.table.update().where(*self._row(project_id, resource), when).values(**values)
        return self.connection.execute(statement).rowcount == 1

    def _is_set(self) -> sa.ColumnElement[bool]:
        return self.table.c.hard_limit.is_not(None)

    def _row(self, project_id: str, resource: str) -> tuple[sa.ColumnElement[bool], ...]:
        return self.table.c.project_id == project_id, self.table.c.resource == resource
