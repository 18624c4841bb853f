# SPDX-License-Identifier: Apache-2.0
"""Jobs: where a command runs, its container, how it ended; then a bounded history, by way of ports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.intents.hiding import secret_values
from stackyard.model import errors
from stackyard.model import ports as port
from stackyard.model.applications import Deployment, Release, Service
from stackyard.model.clusters import MASTER, Cluster
from stackyard.model.jobs import OUTPUTS, STAGES, Job, JobObserved, Kind
from stackyard.model.masking import mask
from stackyard.model.phase import ENDING, IN_PROGRESS, Phase
from stackyard.model.plan import Action
from stackyard.model.plan import jobs as steps
from stackyard.store import Store, Transaction
from stackyard.store.jobs import Jobs as Rows
from stackyard.worker import stages
from stackyard.worker.logs import BuildLog
from stackyard.worker.reconciler import Change, Passive
from stackyard.worker.runs import runs_of, service_of

TAIL_LINES = 15
TOLD_LINES = 200
LOOK_SECONDS = steps.KEPT_SECONDS + 60
"""Ended jobs are looked at once more, for their containers to go; before that only when newer ones end."""


class Jobs(Passive):
    """The noun job for the loop."""

    def __init__(
        self, store: Store, jobs: port.Jobs, authorities: Authorities, patience: stages.Patience | None = None
    ) -> None:
        self.store = store
        self.jobs = jobs
        self.authorities = authorities
        self.patience = patience or stages.Patience()
        self.actions: dict[type[Action], Callable[..., Change[Job] | None]] = {
            steps.PlaceJob: self._place,
            steps.CreateJob: self._create,
            steps.StartJob: self._start,
            steps.StopJob: self._stop,
            steps.FailJob: self._fail,
            steps.RemoveJob: self._remove,
        }

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of jobs."""
        return tx.jobs

    def idle(self, record: Job) -> bool:
        """A job that ended and has no container is history."""
        return steps.over(record)

    def observe(self, record: Job) -> steps.Seen:
        """Look at its container, on the one node where it can be."""
        with self.store.reading() as tx:
            cluster = _cluster(tx, record)
            surplus = record.phase is not Phase.CREATING and tx.jobs.newer_ended(record) >= OUTPUTS
        kept = frozenset(node.name for node in cluster.observed.nodes) if cluster else frozenset()
        node = record.observed.node
        if not node:
            place = self._choose(record, cluster) if record.phase is Phase.CREATING and cluster else ""
            return steps.Seen(node=place, kept=kept, surplus=surplus, now=time.time())
        container = self.jobs.look(self._access(record), node, record.id) if node in kept else None
        return steps.Seen(container, "", kept, surplus, time.time())

    def plan(self, record: Job, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return steps.plan_job(record, seen)

    def note(self, record: Job, seen: steps.Seen, _plan: Sequence[Action]) -> Change[Job]:
        """Note when it began and ended, and how."""
        container = seen.container
        if container is None or container.state == "created":
            return Change(record)
        told = dataclasses.replace(
            record.observed,
            started_at=container.started_at,
            ended_at=container.ended_at,
            exit_code=container.exit_code,
        )
        return Change(dataclasses.replace(record, observed=told))

    def act(self, action: Action, record: Job, seen: steps.Seen) -> Change[Job] | None:
        """Perform one action."""
        return self.actions[type(action)](record, action)

    def failed(self, record: Job, reason: str) -> Change[Job]:
        """Tell those who wait for it."""
        return Change(record, also=self._end(record, f"failed: {reason.partition(chr(10))[0]}"))

    def reached(self, record: Job, seen: steps.Seen) -> Change[Job]:
        """Tell those who wait for it."""
        if record.phase not in IN_PROGRESS:
            return Change(record)
        seconds = max(0.0, record.observed.ended_at - record.observed.started_at)
        return Change(record, also=self._end(record, f"done in {seconds:.1f} s"))

    def removed(self, record: Job, tx: Transaction) -> None:
        """Let the application's own removal go on."""
        tx.applications.nudge(record.app_id)

    def _end(self, record: Job, words: str) -> Callable[[Transaction], None]:
        """Return what is to be written with a job's end."""
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.release)
        if record.kind in STAGES:
            self._tell_push(record, release, words)

        def also(tx: Transaction) -> None:
            tx.jobs.nudge_ended(record.app_id, OUTPUTS)
            if record.kind is Kind.CRON and words.startswith("failed"):
                told = f"{record.name} UTC (job {record.number}) {words}"
                tx.deployments.note(tx.deployments.get(record.deployment_id), "job_failed", told)
            if record.kind in STAGES:
                stages.ended(tx, record, release, self.patience.ready_seconds)

        return also

    def _tell_push(self, record: Job, release: Release, words: str) -> None:
        """Show what a stage wrote to who pushes."""
        if not release.build_id or release.environment != record.environment:
            return
        said = self._tail(record, release, TOLD_LINES)
        with BuildLog(self.store, release.build_id) as log:
            log("".join(f"{record.service}: {line}\n" for line in said.splitlines()))
            log(f"{record.kind} stage {record.service} {words}\n")

    def _place(self, record: Job, action: steps.PlaceJob) -> Change[Job]:
        return Change(_with(record, node=action.node))

    def _create(self, record: Job, _action: object) -> None:
        self.jobs.create(self._access(record), record.observed.node, self._spec(record))

    def _start(self, record: Job, _action: object) -> Change[Job]:
        self.jobs.start(self._access(record), record.observed.node, record.id)
        return Change(record, ("started", f"{record.name} runs on {record.observed.node}"))

    def _stop(self, record: Job, _action: object) -> None:
        self.jobs.stop(self._access(record), record.observed.node, record.id)

    def _fail(self, record: Job, action: steps.FailJob) -> None:
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.release)
        tail = "" if record.attached else self._tail(record, release, TAIL_LINES)
        raise errors.GiveUp(f"{action.reason}\n{tail}".rstrip())

    def _remove(self, record: Job, _action: object) -> Change[Job]:
        node = record.observed.node
        with self.store.reading() as tx:
            cluster = _cluster(tx, record)
        if node and cluster and node in {each.name for each in cluster.observed.nodes}:
            self.jobs.remove(self._access(record), node, record.id)
        return Change(_with(record, cleared=True))

    def _tail(self, record: Job, release: Release, lines: int) -> str:
        """Return the last lines that it wrote, without secrets; none where nobody can tell them now."""
        if not record.observed.node:
            return ""
        try:
            said = self.jobs.tail(self._access(record), record.observed.node, record.id, lines)
        except errors.StackyardError:
            return ""
        return mask(said, secret_values(self.authorities.secrets, release.config, release.secret_keys))

    def _spec(self, record: Job) -> port.JobSpec:
        """Return what is to run: the service of the release, under the job's own name and with its command."""
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.release)
            deployment = tx.deployments.get(record.deployment_id)
        service = service_of(release, record.service)
        run = runs_of(self.authorities.secrets, deployment, release, [service])[0]
        shown = dataclasses.replace(service, name=record.label, port=None, command=record.command or service.command)
        return port.JobSpec(record.id, dataclasses.replace(run, service=shown), record.terminal, record.attached)

    def _choose(self, record: Job, cluster: Cluster) -> str:
        """Return the node to run on: the one that holds the volumes, else any that is ready; "" for none."""
        with self.store.reading() as tx:
            release = tx.releases.number(record.app_id, record.release)
            deployment = tx.deployments.get(record.deployment_id)
        ready = [node for node in cluster.observed.nodes if node.state == "ready"]
        names = sorted(node.name for node in [node for node in ready if node.role != MASTER] or ready)
        holder = holder_of(release, deployment, service_of(release, record.service))
        if holder:
            return holder if holder in names else ""
        return names[record.number % len(names)] if names else ""

    def _access(self, record: Job) -> port.ClusterAccess:
        with self.store.reading() as tx:
            return self.authorities.must_reach(_cluster(tx, record))


def holder_of(release: Release, deployment: Deployment, service: Service) -> str:
    """Return the node that holds the service's volumes, be it by another service that mounts them; "" for none."""
    wanted = {mount.volume for mount in service.mounts}
    if not wanted:
        return ""
    sharing = [each for each in release.spec.services if wanted & {mount.volume for mount in each.mounts}]
    order = sorted(sharing, key=lambda each: each.name != service.name)
    return next((deployment.pins[each.name] for each in order if each.name in deployment.pins), "")


def _with(record: Job, **observed: object) -> Job:
    told: JobObserved = dataclasses.replace(record.observed, **observed)  # type: ignore[arg-type]
    return dataclasses.replace(record, observed=told)


def _cluster(tx: Transaction, record: Job) -> Cluster | None:
    """Return the cluster of the job's environment; None where either is gone or going."""
    try:
        deployment = tx.deployments.get(record.deployment_id)
        gone = deployment.phase in ENDING and record.phase is Phase.CREATING and not record.observed.node
        return None if gone else tx.clusters.known(deployment.cluster_id)
    except errors.NotFound:
        return None
