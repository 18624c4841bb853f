# SPDX-License-Identifier: Apache-2.0
"""Jobs in memory, for tests of what stands above the port; `codes` tells how a command ends (absent: it runs on)."""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from collections.abc import Mapping, Sequence

from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, JobSeen, JobSpec, Replica, Stream


class FakeJobs:
    """Runs nothing, but tells of it as an engine would; `starts` counts how often each job was begun."""

    def __init__(self, codes: Mapping[tuple[str, ...] | None, int] | None = None) -> None:
        self.codes = dict(codes or {})
        self.starts: collections.Counter[str] = collections.Counter()
        self.specs: dict[str, JobSpec] = {}
        self._seen: dict[tuple[str, str], JobSeen] = {}
        self._lock = threading.Lock()

    def end(self, job_id: str, code: int) -> None:
        """Let a job that runs end."""
        with self._lock:
            for key, seen in self._seen.items():
                if key[1] == job_id and seen.state == "running":
                    self._seen[key] = self._ended(seen, code)

    def create(self, access: ClusterAccess, node: str, job: JobSpec) -> None:
        """Make it, or find the one that is there."""
        self._check(access, node)
        with self._lock:
            self.specs[job.id] = job
            self._seen.setdefault((node, job.id), JobSeen("created"))

    def start(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Start it, unless it has been."""
        self._check(access, node)
        with self._lock:
            if self._seen[node, job_id].state != "created":
                return
            self.starts[job_id] += 1
            began = JobSeen("running", started_at=time.time())
            code = self.codes.get(self.specs[job_id].run.service.command)
            self._seen[node, job_id] = began if code is None else self._ended(began, code)

    def look(self, access: ClusterAccess, node: str, job_id: str) -> JobSeen | None:
        """Return what there is of it."""
        self._check(access, node)
        return self._seen.get((node, job_id))

    def stop(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop it."""
        self._check(access, node)
        self.end(job_id, 143)

    def remove(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Remove it."""
        self._check(access, node)
        with self._lock:
            self._seen.pop((node, job_id), None)

    def tail(self, access: ClusterAccess, node: str, job_id: str, lines: int) -> str:
        """Return one line that names the command."""
        self._check(access, node)
        spec = self.specs[job_id].run
        return f"ran {' '.join(spec.service.command or ())} with {' '.join(spec.environment.values())}".rstrip()

    def attach(self, access: ClusterAccess, node: str, job_id: str) -> Stream:
        """Say no: nothing is carried here."""
        raise errors.Unavailable("the fake has no streams")

    def exec(
        self, access: ClusterAccess, replica: Replica, command: Sequence[str], *, terminal: bool = False
    ) -> Stream:
        """Say no: nothing is carried here."""
        raise errors.Unavailable("the fake has no streams")

    def _check(self, access: ClusterAccess, node: str) -> None:
        if node not in [each.name for each in access.nodes]:
            raise errors.GiveUp(f"node {node} is gone")

    def _ended(self, seen: JobSeen, code: int) -> JobSeen:
        reason = f"exited with code {code}" if code else ""
        return dataclasses.replace(seen, state="exited", exit_code=code, reason=reason, ended_at=time.time())
