# SPDX-License-Identifier: Apache-2.0
"""Backups of applications' services."""

from __future__ import annotations

from stackyard.model.backups import Backup, Wish
from stackyard.model.phase import IN_PROGRESS, Phase
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Numbered, Page, Scheduled


class Backups(Scheduled[Backup], Numbered[Backup]):
    """Rows of backups; `observed` is the worker's."""

    word = "backup"
    mapper = mapper(Backup, tables.backups, observed=frozenset({"observed"}))

    def newest(self, app_id: str) -> list[Backup]:
        """Return an application's backups, newest first."""
        return self.list(None, Page(sort="number", descending=True), app_id=app_id)

    def of(self, app_id: str, environment: str, service: str) -> list[Backup]:
        """Return the backups of a service in an environment, newest first."""
        newest = Page(sort="number", descending=True)
        return self.list(None, newest, app_id=app_id, environment=environment, service=service)

    def busy(self, app_id: str, environment: str, service: str) -> Backup | None:
        """Return the backup of a service that is being worked on; one that is verified beside it is in nobody's way."""
        under_way = [each for each in self.of(app_id, environment, service) if each.phase in IN_PROGRESS]
        return next(
            (each for each in under_way if each.phase is not Phase.UPDATING or each.wish is not Wish.VERIFY), None
        )

    def progress(self, backup: Backup, moved: int) -> bool:
        """Note how many bytes the step under way has carried; tell whether it is still wanted."""
        table = self.table
        same = (table.c.id == backup.id, table.c.generation == backup.generation)
        return self.connection.execute(table.update().where(*same).values(moved=moved)).rowcount == 1
