# SPDX-License-Identifier: Apache-2.0
"""Applications, their releases and deployments."""

from __future__ import annotations

import dataclasses
import datetime
import time

import sqlalchemy as sa

from stackyard.model import phase
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release
from stackyard.model.records import utcnow
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Numbered, Scheduled

OBSERVED = frozenset(
    {"serving", "pins", "switched_at", "former", "served_at", "looping", "groups", "initialised", "upgrading"}
)


class Applications(Scheduled[Application]):
    """Rows of applications."""

    word = "application"
    mapper = mapper(Application, tables.applications, observed=frozenset({"extra"}))

    def projects_with(self, ident: str) -> set[str]:
        """Return the ids of the projects that have an application of this id or name."""
        table = self.table
        where = sa.or_(table.c.id == ident, table.c.name == ident)
        return set(self.connection.execute(sa.select(table.c.project_id).where(where)).scalars())


class Releases(Numbered[Release]):
    """Rows of releases; they are never changed."""

    word = "release"
    mapper = mapper(Release, tables.releases)

    def newest(self, app_id: str, environment: str | None = None) -> list[Release]:
        """Return the releases of an application (or of one of its environments), newest first."""
        where = [self.table.c.app_id == app_id]
        if environment:
            where.append(self.table.c.environment == environment)
        return sorted(self.select(*where), key=lambda release: -release.number)


class Deployments(Scheduled[Deployment]):
    """Rows of deployments; what is `OBSERVED` of them is the worker's."""

    word = "deployment"
    mapper = mapper(Deployment, tables.deployments, observed=OBSERVED)

    def of(self, app_id: str, environment: str = PRODUCTION) -> Deployment | None:
        """Return an environment of the application; None where there is none of this name."""
        found = self.select(self.table.c.app_id == app_id, self.table.c.environment == environment)
        return found[0] if found else None

    def all_of(self, app_id: str) -> list[Deployment]:
        """Return the environments of an application in the order in which releases go through them.

        That is the order in which they were made, with production at the end.
        """
        return sorted(self.list(app_id=app_id), key=lambda each: each.environment == PRODUCTION)

    def adjust(self, deployment: Deployment, message: str, **fields: object) -> None:
        """Change how an environment's hosts are answered for, and have it looked at; what is under way goes on.

        The phase stays: an application that can't become ready can be put in maintenance all the same.
        """
        current = self._locked(deployment.id)
        changed = dataclasses.replace(current, **fields, generation=current.generation + 1)  # type: ignore[arg-type]
        values = {"intent": self.mapper.document("intent", changed), "generation": changed.generation}
        values |= {"due": time.time(), "attempts": 0}
        self.connection.execute(self.table.update().where(self.table.c.id == deployment.id).values(**values))
        self.note(changed, "names", message)

    def take_back(self, deployment: Deployment, release: int, reason: str) -> None:
        """Ask for an earlier release, because the one that serves has failed after all."""
        now = phase.after(deployment.phase, phase.Trigger.GAVE_UP)
        values = {
            "intent": self.mapper.document("intent", dataclasses.replace(deployment, release=release)),
            "phase": now.value,
            "status_reason": reason,
            "deadline": None,
            "updated_at": utcnow(),
        }
        self.connection.execute(self.table.update().where(self.table.c.id == deployment.id).values(**values))

    def fail(self, deployment: Deployment, reason: str) -> None:
        """Have a change that is under way failed, with what serves left as it is, unless another was asked for."""
        table = self.table
        if deployment.phase not in phase.IN_PROGRESS:
            return
        now = phase.after(deployment.phase, phase.Trigger.GAVE_UP)
        same = (table.c.id == deployment.id, table.c.generation == deployment.generation)
        values = {"phase": now.value, "status_reason": reason, "deadline": None, "updated_at": utcnow()}
        self.connection.execute(table.update().where(*same).values(**values))

    def postpone(self, deployment_id: str, deadline: datetime.datetime) -> None:
        """Give a change that is under way until then."""
        table = self.table
        under_way = table.c.phase.in_([each.value for each in phase.IN_PROGRESS])
        where = (table.c.id == deployment_id, table.c.deadline.is_not(None), under_way)
        self.connection.execute(table.update().where(*where).values(deadline=deadline))

    def go_back(self, deployment: Deployment) -> None:
        """Ask for the release that serves again, unless the wish has changed since `deployment` was read."""
        table = self.table
        intent = self.mapper.document("intent", dataclasses.replace(deployment, release=deployment.serving))
        same = (table.c.id == deployment.id, table.c.generation == deployment.generation)
        self.connection.execute(table.update().where(*same).values(intent=intent))
