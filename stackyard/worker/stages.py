# SPDX-License-Identifier: Apache-2.0
"""The stages of a release seen from its deployment: which there are, their jobs, asking for the next, what they did.

Called by the noun deployment. What carries a job out is the noun job (`worker.jobs`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from stackyard.intents.rules import within
from stackyard.model import errors
from stackyard.model.applications import Deployment, Release, Stage
from stackyard.model.jobs import Job, Kind, stage_id
from stackyard.model.phase import ENDING
from stackyard.model.plan import stages as planned
from stackyard.model.plan.stages import Initialised, ReleaseStage, StartStage, Upgraded, stages_of
from stackyard.store import Store, Transaction
from stackyard.worker.reconciler import Change

REMEMBERED = 1000

Digest = Callable[[Deployment, Release, str], str]
"""Returns what tells the inputs of a service (by name) of a release in an environment."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a stage may take, and one of a release's services until it is ready; in seconds."""

    stage_seconds: float = 600
    ready_seconds: float = 60


class Stages:
    """Stages of releases. What a release never changes is remembered, so that most looks ask the database nothing.

    `digest` tells the inputs of a service of a release: two that are alike have the same.
    """

    def __init__(self, store: Store, patience: Patience, digest: Digest) -> None:
        self.store = store
        self.patience = patience
        self.digest = digest
        self._known: dict[tuple[str, int], tuple[ReleaseStage, ...]] = {}

    def wanted(self, record: Deployment) -> tuple[ReleaseStage, ...]:
        """Return the stages that are to end well before the release asked for is started; none once it serves."""
        return () if record.phase in ENDING or record.release < 1 else planned.before(record, self._all(record))

    def after(self, record: Deployment) -> tuple[ReleaseStage, ...]:
        """Return the stages that follow on the upgrade to the release that serves."""
        return () if record.phase in ENDING or not record.upgrading else planned.after(record, self._all(record))

    def upgrades(self, record: Deployment, release: int) -> bool:
        """Tell whether stages follow when this release, which was asked for, begins to serve."""
        return planned.upgrades(record, release, self._all(record))

    def jobs(self, record: Deployment) -> Mapping[str, Job]:
        """Return the jobs that there are of the stages whose turn it is, by service."""
        wanted = self.wanted(record) or self.after(record)
        if not wanted:
            return {}
        ids = {stage_id(record.id, record.release, stage.service): stage.service for stage in wanted}
        with self.store.reading() as tx:
            return {ids[ident]: job for ident, job in tx.jobs.by_id(list(ids)).items()}

    def start(self, record: Deployment, action: StartStage) -> Change[Deployment]:
        """Write the job, once whoever comes to it, and give the deployment the time that it may take."""
        made = self._job(record, action)

        def ask(tx: Transaction) -> None:
            if tx.jobs.by_id([made.id]):
                return
            try:
                tx.jobs.insert(dataclasses.replace(made, number=tx.jobs.next_number(record.app_id)))
            except errors.Conflict as error:  # another job took that number at this moment
                raise errors.Retry("waiting for the jobs before this one", after=0.1) from error
            services = tx.releases.number(record.app_id, record.release).spec.starts
            limit = self.patience.stage_seconds + self.patience.ready_seconds * services
            tx.deployments.postpone(record.id, within(limit))

        return Change(record, ("staging", action.describe()), ask)

    def initialised(self, record: Deployment, action: Initialised) -> Change[Deployment]:
        """Record that a stage init need not run again in this environment."""
        done = {**record.initialised, action.service: action.digest}
        return Change(dataclasses.replace(record, initialised=done), ("initialised", action.describe()))

    def upgraded(self, record: Deployment, action: Upgraded) -> Change[Deployment]:
        """Record that an upgrade is over; the release serves on also where its last stage failed, which is told."""
        over = dataclasses.replace(record, upgrading=0)
        if not action.reason:
            return Change(over, ("upgraded", f"all stages of release {record.serving} are done"))
        reason = f"{action.reason}\nrelease {record.serving} serves all the same"
        return Change(over, ("failed", reason), lambda tx: tx.deployments.fail(record, reason))

    def _all(self, record: Deployment) -> tuple[ReleaseStage, ...]:
        key = (record.app_id, record.release)
        if key not in self._known:
            if len(self._known) > REMEMBERED:
                self._known.clear()
            with self.store.reading() as tx:
                release = tx.releases.number(*key)
            self._known[key] = () if release.skips_stage else self._with_digests(record, release)
        return self._known[key]

    def _with_digests(self, record: Deployment, release: Release) -> tuple[ReleaseStage, ...]:
        return tuple(
            dataclasses.replace(stage, digest=self.digest(record, release, stage.service))
            if stage.stage is Stage.INIT
            else stage
            for stage in stages_of(release.spec)
        )

    def _job(self, record: Deployment, action: StartStage) -> Job:
        service = action.service
        return Job(
            id=stage_id(record.id, record.release, service),
            project_id=record.project_id,
            name=f"{service} of release {record.release}",
            app_id=record.app_id,
            number=0,
            deployment_id=record.id,
            environment=record.environment,
            kind=Kind(action.stage.value),
            release=record.release,
            service=service,
            deadline=within(self.patience.stage_seconds),
        )


def ended(tx: Transaction, job: Job, release: Release, ready_seconds: float) -> None:
    """Let the deployment go on after a job of its stages, with the time for what comes now."""
    limit = within(ready_seconds * release.spec.starts)
    tx.deployments.postpone(job.deployment_id, limit)
    tx.deployments.nudge(job.deployment_id)
