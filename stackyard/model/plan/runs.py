# SPDX-License-Identifier: Apache-2.0
"""Steps with single runs, and what is told of one by its replicas. Used by the planners of deployments and groups."""

from __future__ import annotations

import dataclasses

from stackyard.model.plan import Action
from stackyard.model.ports import Replica, Run, RunSeen

CRASHES = 3


@dataclasses.dataclass(frozen=True)
class StartRun(Action):
    """Start a run, or bring it to the number of replicas asked for."""

    run: Run

    def describe(self) -> str:
        """Return which."""
        return f"starting {self.run.service.name} × {self.run.replicas}"


@dataclasses.dataclass(frozen=True)
class StopRun(Action):
    """Stop a run; its volumes stay."""

    run: RunSeen

    def describe(self) -> str:
        """Return which."""
        return f"stopping {self.run.service} of release {self.run.release}"


@dataclasses.dataclass(frozen=True)
class Fail(Action):
    """The new run will not become ready; say why."""

    run: str
    service: str
    reason: str


def lack(run: RunSeen) -> str:
    """Return what a replica says that it waits for, in brackets."""
    said = next((task.reason for task in run.tasks if task.state in ("pending", "starting") and task.reason), "")
    return f" ({said})" if said else ""


def hopeless(run: RunSeen) -> str:
    """Return why a run will not become ready, or nothing while there is hope."""
    exited = [task for task in run.tasks if task.state == "exited"]
    unhealthy = [task for task in run.tasks if task.state == "unhealthy"]
    if len(exited) >= CRASHES or len({task.slot for task in exited}) > run.replicas:
        return f"{run.service} keeps stopping: {exited[0].reason}"
    if unhealthy:
        return f"{run.service} is unhealthy: {unhealthy[0].reason or 'its health check fails'}"
    return ""


def ready(run: RunSeen) -> list[Replica]:
    """Return the replicas that can take requests."""
    return [task for task in run.tasks if task.state == "running"]
