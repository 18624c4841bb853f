# SPDX-License-Identifier: Apache-2.0
"""Applications, their releases and deployments."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from stackyard.model import errors
from stackyard.model.applications import Application, Deployment, Release
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Repository, Scheduled


class Applications(Scheduled[Application]):
    """Rows of applications."""

    word = "application"
    mapper = mapper(Application, tables.applications, observed=frozenset({"extra"}))


class Releases(Repository[Release]):
    """Rows of releases; they are never changed."""

    word = "release"
    mapper = mapper(Release, tables.releases)

    def newest(self, app_id: str) -> list[Release]:
        """Return all releases of an application, newest first."""
        return sorted(self.list(app_id=app_id), key=lambda release: -release.number)

    def number(self, app_id: str, number: int) -> Release:
        """Return release `number`; raises NotFound."""
        found = self.select(self.table.c.app_id == app_id, self.table.c.number == number)
        if not found:
            raise errors.NotFound(f"there is no release {number}")
        return found[0]

    def next_number(self, app_id: str) -> int:
        """Return the number that the next release of an application gets."""
        table = self.table
        newest = self.connection.execute(
            sa.select(sa.func.max(table.c.number)).where(table.c.app_id == app_id)
        ).scalar()
        return (newest or 0) + 1


class Deployments(Scheduled[Deployment]):
    """Rows of deployments; `serving`, `pins` and `switched_at` are the worker's."""

    word = "deployment"
    mapper = mapper(Deployment, tables.deployments, observed=frozenset({"serving", "pins", "switched_at"}))

    def of(self, app_id: str) -> Deployment | None:
        """Return the application's deployment, or None before its first release."""
        found = self.select(self.table.c.app_id == app_id)
        return found[0] if found else None

    def go_back(self, deployment: Deployment) -> None:
        """Ask for the release that serves again, unless the wish has changed since `deployment` was read."""
        table = self.table
        intent = self.mapper.document("intent", dataclasses.replace(deployment, release=deployment.serving))
        same = (table.c.id == deployment.id, table.c.generation == deployment.generation)
        self.connection.execute(table.update().where(*same).values(intent=intent))
