# SPDX-License-Identifier: Apache-2.0
"""Jobs of applications; their history is bounded."""

from __future__ import annotations

import collections
import time
from collections.abc import Sequence

from stackyard.model.jobs import HISTORY, Job, Kind
from stackyard.model.phase import Phase
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Numbered, Page, Scheduled

ENDED = (Phase.READY.value, Phase.CREATE_FAILED.value)


class Jobs(Scheduled[Job], Numbered[Job]):
    """Rows of jobs; `observed` is the worker's."""

    word = "job"
    mapper = mapper(Job, tables.jobs, observed=frozenset({"observed"}))

    def insert(self, record: Job) -> Job:
        """Write a new row, due at once; the oldest of its application make room."""
        super().insert(record)
        self._trim(record.app_id)
        return record

    def newest(self, app_id: str, limit: int = HISTORY) -> list[Job]:
        """Return an application's jobs, newest first."""
        return self.list(None, Page(limit=limit, sort="number", descending=True), app_id=app_id)

    def by_id(self, ids: Sequence[str]) -> dict[str, Job]:
        """Return those of these jobs that there are, by id."""
        return {job.id: job for job in self.select(self.table.c.id.in_(ids))}

    def unfinished(self, app_id: str) -> list[Job]:
        """Return an application's jobs that have not ended."""
        return self.select(self.table.c.app_id == app_id, self.table.c.phase.not_in(ENDED))

    def newer_ended(self, job: Job) -> int:
        """Return how many jobs of the same application have ended that are newer."""
        table = self.table
        return self.count(table.c.app_id == job.app_id, table.c.number > job.number, table.c.phase.in_(ENDED))

    def nudge_ended(self, app_id: str, but: int) -> None:
        """Have the ended jobs of an application looked at, but for so many of the newest."""
        ended = [job for job in self.newest(app_id) if job.phase.value in ENDED]
        old = [job.id for job in ended[but:] if not job.observed.cleared]
        self.connection.execute(self.table.update().where(self.table.c.id.in_(old)).values(due=time.time()))

    def _trim(self, app_id: str) -> None:
        """Forget what is beyond the history of its kind, but for the newest of each schedule: when did it run?"""
        kept: set[tuple[str, str]] = set()
        counts: collections.Counter[Kind] = collections.Counter()
        for job in self.newest(app_id, 5 * HISTORY):
            key = (job.deployment_id, job.service)
            last = job.kind is Kind.CRON and key not in kept
            counts[job.kind] += 1
            kept.add(key)
            if counts[job.kind] > HISTORY and not last and job.phase.value in ENDED and job.observed.cleared:
                self.delete(job.id)
