# SPDX-License-Identifier: Apache-2.0
"""Schedules: makes jobs of services of stage `cron`, and backups of others, when they are due.

One thread in each worker process. Any number of workers may come to the same minute: the ids are made of it, so that
one is made. What was missed while nobody looked is made up for once.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import threading
import time
from collections.abc import Sequence

from stackyard.drivers import schedules
from stackyard.intents.rules import within
from stackyard.model import errors
from stackyard.model.applications import Deployment, Release, Stage
from stackyard.model.backups import Form
from stackyard.model.jobs import Job, JobObserved, Kind, cron_id
from stackyard.model.phase import ENDING, Phase
from stackyard.model.records import utcnow
from stackyard.store import Store, Transaction
from stackyard.worker import backup_schedules

LOG = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
REMEMBERED = 5000


@dataclasses.dataclass(frozen=True)
class Entry:
    """A service with its schedule, as a release has it since `since`; `backup` is the form of backups, if of those."""

    service: str
    schedule: str
    since: datetime.datetime
    backup: Form | None = None


class Cron(threading.Thread):
    """Fires schedules until the process ends; `job_seconds` is what a run may take, `backup_seconds` a backup."""

    def __init__(self, store: Store, job_seconds: float, backup_seconds: float = 21600.0) -> None:
        super().__init__(name="cron", daemon=True)
        self.store = store
        self.job_seconds = job_seconds
        self.backup_seconds = backup_seconds
        self._entries: dict[tuple[str, int], tuple[Entry, ...]] = {}
        self._fired: dict[tuple[str, Entry], datetime.datetime] = {}

    def run(self) -> None:
        """Look again and again."""
        while True:
            pause = LOOK_SECONDS
            try:
                pause = self.look(utcnow())
            except errors.StackyardError as error:
                LOG.warning("can't look at schedules: %s", error)
            except Exception:
                LOG.exception("looking at schedules failed; trying again")
            time.sleep(pause)

    def look(self, now: datetime.datetime) -> float:
        """Make the jobs that are due; return in how many seconds to look again."""
        with self.store.reading() as tx:
            serving = [each for each in tx.deployments.list() if each.serving > 0 and each.phase not in ENDING]
            entries = [(each, entry) for each in serving for entry in self._of(tx, each)]
        next_due = [schedules.after(entry.schedule, now) for _, entry in entries]
        for deployment, entry in entries:
            self._fire(deployment, entry, now)
        soonest = min(((due - now).total_seconds() for due in next_due), default=LOOK_SECONDS)
        return max(0.02, min(LOOK_SECONDS, soonest))

    def _of(self, tx: Transaction, deployment: Deployment) -> Sequence[Entry]:
        """Return the schedules of the release that serves; releases never change."""
        key = (deployment.app_id, deployment.serving)
        if key not in self._entries:
            if len(self._entries) > REMEMBERED:
                self._entries.clear()
            release = tx.releases.number(*key)
            self._entries[key] = _entries(release)
        return self._entries[key]

    def _fire(self, deployment: Deployment, entry: Entry, now: datetime.datetime) -> None:
        due = schedules.newest(entry.schedule, now)
        key = (deployment.id, entry)
        if due < entry.since or self._fired.get(key) == due:
            return
        try:
            with self.store.transaction() as tx:
                self._make(tx, deployment, entry, due)
        except errors.Conflict:
            return  # its number was taken at this moment; the next look makes it
        self._fired[key] = due

    def _make(self, tx: Transaction, deployment: Deployment, entry: Entry, due: datetime.datetime) -> None:
        if entry.backup:
            backup_schedules.make(tx, deployment, entry.service, entry.backup, due, self.backup_seconds)
            return
        made = self._job(deployment, entry, due)
        if not tx.jobs.by_id([made.id]):
            _insert(tx, deployment, made, due)

    def _job(self, deployment: Deployment, entry: Entry, due: datetime.datetime) -> Job:
        return Job(
            id=cron_id(deployment.id, entry.service, int(due.timestamp()) // 60),
            project_id=deployment.project_id,
            name=f"{entry.service} of {due:%Y-%m-%d %H:%M}",
            app_id=deployment.app_id,
            number=0,
            deployment_id=deployment.id,
            environment=deployment.environment,
            kind=Kind.CRON,
            release=deployment.serving,
            service=entry.service,
            deadline=within(self.job_seconds),
        )


def _entries(release: Release) -> tuple[Entry, ...]:
    """Return what a release has on schedules: services that run then, and backups of those that go on running."""
    services = release.spec.services
    crons = [Entry(each.name, each.schedule, release.created_at) for each in services if each.stage is Stage.CRON]
    rules = [(each.name, each.backup) for each in services if each.backup and each.backup.schedule]
    return (*crons, *(Entry(name, rule.schedule, release.created_at, rule.form) for name, rule in rules))


def _insert(tx: Transaction, deployment: Deployment, made: Job, due: datetime.datetime) -> None:
    """Write the job; one that is skipped since the one before it still runs is written as ended."""
    made = dataclasses.replace(made, number=tx.jobs.next_number(made.app_id))
    before = [job for job in tx.jobs.unfinished(made.app_id) if _same(job, made)]
    if not before:
        tx.jobs.insert(made)
        return
    reason = f"skipped: job {before[0].number}, which began before it, still runs"
    over = JobObserved(ended_at=time.time(), cleared=True)
    tx.jobs.insert(dataclasses.replace(made, phase=Phase.CREATE_FAILED, status_reason=reason, observed=over))
    tx.deployments.note(deployment, "skipped", f"{made.service} of {due:%H:%M} UTC {reason}")


def _same(job: Job, made: Job) -> bool:
    return job.kind is Kind.CRON and (job.deployment_id, job.service) == (made.deployment_id, made.service)
