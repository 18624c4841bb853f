# SPDX-License-Identifier: Apache-2.0
"""Jobs: commands that run once, with or without somebody at a terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from stackyard.model.ports.engines import ClusterAccess
from stackyard.model.ports.workloads import Replica, Run


@dataclasses.dataclass(frozen=True)
class JobSpec:
    """A command that runs once: `run.service` says what of, by the name that its log lines carry.

    With `stdin` its input is open until the first who is attached ends it; `terminal` gives it one.
    """

    id: str
    run: Run
    terminal: bool = False
    stdin: bool = False


@dataclasses.dataclass(frozen=True)
class JobSeen:
    """A job's container: `state` is created, running or exited; `reason` says in words how it ended.

    Times are seconds of the epoch, 0 where that has not happened.
    """

    state: str
    exit_code: int | None = None
    reason: str = ""
    started_at: float = 0
    ended_at: float = 0


class Stream(Protocol):
    """A command's input and output while it runs; reading and writing may be done by two threads."""

    def read(self) -> tuple[int, bytes] | None:
        """Return a piece of output with its stream (1 stdout, 2 stderr), None at the end; waits for it."""

    def write(self, data: bytes) -> None:
        """Send input."""

    def end_input(self) -> None:
        """Tell the command that its input has ended; output goes on."""

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""

    def result(self) -> tuple[int, str]:
        """Return the exit code and in words how it ended; after the end of output."""

    def close(self) -> None:
        """End the reading, from whichever thread; a job goes on, what `exec` began ends with all that it started."""


class Jobs(Protocol):
    """Runs commands once, each in a container of its own on a given node (by name), and in running replicas."""

    def create(self, access: ClusterAccess, node: str, job: JobSpec) -> None:
        """Make the job's container (network and volumes included) without starting it; finds the one that is there."""

    def start(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Start it, unless it has been; raises GiveUp when the command can't be run."""

    def look(self, access: ClusterAccess, node: str, job_id: str) -> JobSeen | None:
        """Return what is seen of it; None when there is none."""

    def stop(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop it within its own grace; what it wrote stays."""

    def remove(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop and remove it."""

    def tail(self, access: ClusterAccess, node: str, job_id: str, lines: int) -> str:
        """Return the last lines that it wrote."""

    def attach(self, access: ClusterAccess, node: str, job_id: str) -> Stream:
        """Return the stream of a job that has not been started yet, so that nothing of it is missed."""

    def exec(
        self, access: ClusterAccess, replica: Replica, command: Sequence[str], *, terminal: bool = False
    ) -> Stream:
        """Begin a command in a running replica; raises NotFound when that is gone."""
