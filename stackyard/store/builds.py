# SPDX-License-Identifier: Apache-2.0
"""Builds and their logs."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from stackyard.model import phase
from stackyard.model.builds import Build, Source
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Numbered, Scheduled

if TYPE_CHECKING:
    from stackyard.store import Transaction

SERVING = (phase.Phase.READY, phase.Phase.CREATING, phase.Phase.UPDATING)


class Builds(Scheduled[Build], Numbered[Build]):
    """Rows of builds; `observed` is the worker's."""

    word = "build"
    mapper = mapper(Build, tables.builds, observed=frozenset({"observed"}))

    def unfinished_before(self, build: Build) -> bool:
        """Tell whether an earlier build of the same application is still under way."""
        table = self.table
        return bool(
            self.count(
                table.c.app_id == build.app_id,
                table.c.number < build.number,
                table.c.phase.in_([phase.Phase.CREATING.value, phase.Phase.UPDATING.value]),
            )
        )

    def newest_unfinished(self, app_id: str, environment: str) -> int:
        """Return the number of an environment's newest build that is under way or waits; 0 when there is none."""
        table = self.table
        where = (
            table.c.app_id == app_id,
            table.c.environment == environment,
            table.c.phase == phase.Phase.CREATING.value,
        )
        return self.connection.execute(sa.select(sa.func.max(table.c.number)).where(*where)).scalar() or 0

    def digests_elsewhere(self, app_id: str) -> set[str]:
        """Return the source archives that builds of other applications came from."""
        others = self.select(self.table.c.app_id != app_id)
        return {build.observed.digest or build.source.digest for build in others}

    def append_log(self, build_id: str, text: str) -> None:
        """Add a piece to the build's log."""
        logs = tables.build_logs
        newest = self.connection.execute(sa.select(sa.func.max(logs.c.seq)).where(logs.c.build_id == build_id)).scalar()
        seq = 0 if newest is None else newest + 1
        self.connection.execute(logs.insert().values(build_id=build_id, seq=seq, text=text))

    def log(self, build_id: str, start: int = 0) -> list[tuple[int, str]]:
        """Return the pieces of a build's log from sequence number `start` on."""
        logs = tables.build_logs
        where = (logs.c.build_id == build_id, logs.c.seq >= start)
        rows = self.connection.execute(sa.select(logs.c.seq, logs.c.text).where(*where).order_by(logs.c.seq))
        return [(row.seq, row.text) for row in rows]

    def nudge_unfinished(self, app_id: str) -> None:
        """Make the builds of an application that are under way due now."""
        table = self.table
        where = (table.c.app_id == app_id, table.c.phase == phase.Phase.CREATING.value)
        self.connection.execute(table.update().where(*where).values(due=time.time()))


def unchanged(tx: Transaction, like: Source, app_id: str, environment: str) -> Build | None:
    """Return the build whose release serves, where a source (by digest) and the config of now would make the same.

    Its `observed.release` is the release that serves, which may be a later one with the same content.
    """
    deployment = tx.deployments.of(app_id, environment)
    if deployment is None or deployment.serving < 1 or deployment.serving != deployment.release:
        return None
    release = tx.releases.number(app_id, deployment.serving)
    if deployment.phase not in SERVING or not release.build_id or release.config != deployment.config:
        return None
    build = tx.builds.get(release.build_id)
    if build.observed.digest != like.digest or build.source.buildpacks != like.buildpacks:
        return None
    return dataclasses.replace(build, observed=dataclasses.replace(build.observed, release=release.number))
