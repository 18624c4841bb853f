# SPDX-License-Identifier: Apache-2.0
"""The release stage seen from a deployment: whether there is one, its jobs, and asking for the next.

Called by the noun deployment. What carries a job out is the noun job (`worker.jobs`).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from stackyard.intents.rules import within
from stackyard.model import errors
from stackyard.model.applications import Deployment, Release
from stackyard.model.jobs import Job, Kind, stage_id
from stackyard.model.phase import ENDING
from stackyard.model.plan.stages import ReleaseStage, StartStage, stages_of
from stackyard.store import Store, Transaction
from stackyard.worker.reconciler import Change

REMEMBERED = 1000


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a release stage may take, and one of a release's services until it is ready; in seconds."""

    stage_seconds: float = 600
    ready_seconds: float = 60


class Stages:
    """Release stages. What a release never changed is remembered, so that most looks ask the database nothing."""

    def __init__(self, store: Store, patience: Patience) -> None:
        self.store = store
        self.patience = patience
        self._known: dict[tuple[str, int], tuple[ReleaseStage, ...]] = {}

    def wanted(self, record: Deployment) -> tuple[ReleaseStage, ...]:
        """Return the stages that are to end well before the release asked for is started; none once it serves."""
        if record.release <= max(record.serving, 0) or record.phase in ENDING:
            return ()
        key = (record.app_id, record.release)
        if key not in self._known:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            with self.store.reading() as tx:
                release = tx.releases.number(*key)
            self._known[key] = () if release.skips_stage else stages_of(release.spec)
        return self._known[key]

    def jobs(self, record: Deployment) -> Mapping[str, Job]:
        """Return the jobs that there are of the release stage, by service."""
        wanted = self.wanted(record)
        if not wanted:
            return {}
        ids = {stage_id(record.id, record.release, stage.service): stage.service for stage in wanted}
        with self.store.reading() as tx:
            return {ids[ident]: job for ident, job in tx.jobs.by_id(list(ids)).items()}

    def start(self, record: Deployment, action: StartStage) -> Change[Deployment]:
        """Write the job, once whoever comes to it, and give the deployment the time that it may take."""
        made = self._job(record, action.service)

        def ask(tx: Transaction) -> None:
            if tx.jobs.by_id([made.id]):
                return
            try:
                tx.jobs.insert(dataclasses.replace(made, number=tx.jobs.next_number(record.app_id)))
            except errors.Conflict as error:  # another job took that number at this moment
                raise errors.Retry("waiting for the jobs before this one", after=0.1) from error
            services = len(tx.releases.number(record.app_id, record.release).spec.services)
            tx.deployments.postpone(record.id, self._until(services))

        return Change(record, ("staging", action.describe()), ask)

    def _job(self, record: Deployment, service: str) -> Job:
        return Job(
            id=stage_id(record.id, record.release, service),
            project_id=record.project_id,
            name=f"{service} of release {record.release}",
            app_id=record.app_id,
            number=0,
            deployment_id=record.id,
            environment=record.environment,
            kind=Kind.RELEASE,
            release=record.release,
            service=service,
            deadline=within(self.patience.stage_seconds),
        )

    def _until(self, services: int) -> datetime.datetime:
        return within(self.patience.stage_seconds + self.patience.ready_seconds * services)


def ended(tx: Transaction, job: Job, release: Release, ready_seconds: float) -> None:
    """Let the deployment go on after a job of its release stage, with the time for what comes now."""
    limit = within(ready_seconds * max(1, len(release.spec.services)))
    tx.deployments.postpone(job.deployment_id, limit)
    tx.deployments.nudge(job.deployment_id)
