# SPDX-License-Identifier: Apache-2.0
"""Trusts: an application has one, or none."""

from __future__ import annotations

from stackyard.model.trusts import Trust
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Repository


class Trusts(Repository[Trust]):
    """Rows of trusts."""

    word = "trust"
    mapper = mapper(Trust, tables.trusts)

    def of(self, app_id: str) -> Trust | None:
        """Return an application's trust, None where it has none."""
        found = self.select(self.table.c.app_id == app_id)
        return found[0] if found else None

    def put(self, trust: Trust) -> Trust:
        """Have this trust in place of the one that the application had; raises Conflict when two do so at once."""
        self.forget(trust.app_id)
        return self.insert(trust)

    def forget(self, app_id: str) -> None:
        """Delete an application's trust, if it has one."""
        self.connection.execute(self.table.delete().where(self.table.c.app_id == app_id))
