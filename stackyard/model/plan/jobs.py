# SPDX-License-Identifier: Apache-2.0
"""The steps of a job: a node, a container, its start, its end, and in the end its removal."""

from __future__ import annotations

import dataclasses

from stackyard.model.jobs import STAGES, Job
from stackyard.model.phase import ENDING, Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.ports import JobSeen

ATTACH_SECONDS = 60.0
KEPT_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True)
class Seen:
    """A look at a job: its container, the node for it (empty: none is ready), the names of the nodes that are kept.

    `surplus` tells that enough newer jobs have ended for the output of this one to go.
    """

    container: JobSeen | None = None
    node: str = ""
    kept: frozenset[str] = frozenset()
    surplus: bool = False
    now: float = 0


@dataclasses.dataclass(frozen=True)
class PlaceJob(Action):
    """Decide which node it runs on, before anything is there: it is looked for on that one only."""

    node: str

    def describe(self) -> str:
        """Return where."""
        return f"it runs on {self.node}"


@dataclasses.dataclass(frozen=True)
class CreateJob(Action):
    """Make its container."""


@dataclasses.dataclass(frozen=True)
class StartJob(Action):
    """Start it."""


@dataclasses.dataclass(frozen=True)
class StopJob(Action):
    """Stop it; what it wrote stays."""


@dataclasses.dataclass(frozen=True)
class FailJob(Action):
    """It did not end well."""

    reason: str


@dataclasses.dataclass(frozen=True)
class RemoveJob(Action):
    """Remove its container."""


def plan_job(job: Job, seen: Seen) -> list[Action]:
    """Return what is left to do for the job; empty once it has ended well, or is history."""
    if job.phase in ENDING:
        return [RemoveJob()] if seen.container else []
    if job.phase is not Phase.CREATING:
        return _plan_history(job, seen)
    if not job.observed.node:
        return _plan_place(job, seen)
    return _plan_container(job, seen.container, seen)


def over(job: Job) -> bool:
    """Tell whether nothing will ever have to be done for the job."""
    return job.phase is not Phase.CREATING and job.phase not in ENDING and job.observed.cleared


def _plan_history(job: Job, seen: Seen) -> list[Action]:
    if job.observed.cleared:
        return []
    if seen.container and seen.container.state == "running":
        return [StopJob()]
    ended = job.observed.ended_at or job.created_at.timestamp()
    return [RemoveJob()] if seen.surplus or seen.now - ended > KEPT_SECONDS else []


def _plan_place(job: Job, seen: Seen) -> list[Action]:
    if job.stop:
        return [FailJob(job.stop)]
    return [PlaceJob(seen.node)] if seen.node else [Wait("waiting for a node of the cluster to be ready", 1.0)]


def _plan_container(job: Job, container: JobSeen | None, seen: Seen) -> list[Action]:
    if container is None:
        return _plan_absent(job, seen)
    if container.state == "created":
        return _plan_created(job, seen)
    if container.state == "running":
        # What may take hours keeps no thread of the worker; whoever waits for a stage wants to know at once.
        slow = job.kind not in STAGES
        return [StopJob()] if job.stop else [Wait(f"{job.label} runs", 1.0 if slow else 0.2, nudged=slow)]
    return _plan_ended(job, container)


def _plan_absent(job: Job, seen: Seen) -> list[Action]:
    if job.observed.exit_code == 0:
        return []
    if job.observed.started_at:
        return [FailJob(job.stop or f"its container on {job.observed.node} is gone")]
    if job.stop:
        return [FailJob(job.stop)]
    if job.observed.node not in seen.kept:
        return [FailJob(f"node {job.observed.node}, where it was to run, is gone")]
    return [CreateJob()]


def _plan_created(job: Job, seen: Seen) -> list[Action]:
    if job.stop:
        return [FailJob(job.stop)]
    if not job.attached:
        return [StartJob()]
    if seen.now - job.created_at.timestamp() > ATTACH_SECONDS:
        return [FailJob(f"nobody attached to it within {ATTACH_SECONDS:.0f} s")]
    return [Wait("waiting for somebody to attach", 1.0, nudged=True)]


def _plan_ended(job: Job, container: JobSeen) -> list[Action]:
    if container.exit_code == 0 and not job.stop:
        return []
    return [FailJob(job.stop or container.reason)]
