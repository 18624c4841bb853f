# SPDX-License-Identifier: Apache-2.0
"""The release stage of a deployment: commands that end well before anything new of a release is started.

Used by the planner of deployments. A stage is a job (`model.jobs`), known by deployment, release and service.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from stackyard.model.applications import AppSpec, Service, Stage
from stackyard.model.jobs import Job
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait


@dataclasses.dataclass(frozen=True)
class ReleaseStage:
    """A service of stage `release`, and the services that are to run before it: those that it depends on."""

    service: str
    needs: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class StartStage(Action):
    """Ask for the job that is a service's release stage."""

    service: str

    def describe(self) -> str:
        """Return which."""
        return f"release stage: {self.service}"


@dataclasses.dataclass(frozen=True)
class FailStage(Action):
    """The release stage did not end well; `reason` holds its last lines."""

    reason: str


def stages_of(spec: AppSpec) -> tuple[ReleaseStage, ...]:
    """Return the release stage of what is to run, in order."""
    by_name = {service.name: service for service in spec.services}
    return tuple(
        ReleaseStage(service.name, frozenset(_needed(service, by_name)))
        for service in spec.services
        if service.stage is Stage.RELEASE
    )


def _needed(service: Service, by_name: Mapping[str, Service]) -> set[str]:
    found = set(service.depends_on)
    for name in service.depends_on:
        found |= _needed(by_name[name], by_name)  # there are no circles: the source was refused for them
    return found


def plan_stages(stages: tuple[ReleaseStage, ...], jobs: Mapping[str, Job]) -> list[Action]:
    """Return what is left to do for the release stage, whose jobs are given by service; one after the other."""
    for stage in stages:
        job = jobs.get(stage.service)
        if job is None:
            return [StartStage(stage.service)]
        if job.phase is Phase.CREATING:
            return [Wait(f"release stage: {stage.service} runs", 2.0, nudged=True)]
        if job.phase is not Phase.READY:
            return [FailStage(f"the release stage failed: {stage.service} {job.status_reason or 'was ended'}")]
    return []
