# SPDX-License-Identifier: Apache-2.0
"""The stages of a release: commands that end well at their point of its way, each once.

Used by the planner of deployments. A stage is a job (`model.jobs`), known by deployment, release and service; what
lasts longer than jobs are remembered (that an environment is initialised, that an upgrade is over) is the deployment's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from stackyard.model.applications import AppSpec, Deployment, Service, Stage
from stackyard.model.jobs import Job
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait

BEFORE = (Stage.PRE_UPGRADE, Stage.INIT, Stage.RELEASE)
"""What ends well before a release serves, in this order."""


@dataclasses.dataclass(frozen=True)
class ReleaseStage:
    """A service of a stage, and the services that are to run before it: those that it depends on.

    `digest` tells the inputs of stage init, which with `again` runs anew when they have changed.
    """

    service: str
    needs: frozenset[str] = frozenset()
    stage: Stage = Stage.RELEASE
    digest: str = ""
    again: bool = False


@dataclasses.dataclass(frozen=True)
class StartStage(Action):
    """Ask for the job that is a service's stage."""

    service: str
    stage: Stage = Stage.RELEASE
    changed: bool = False

    def describe(self) -> str:
        """Return which, and whether it has been done before."""
        return f"{self.stage} stage: {self.service}" + (", whose inputs have changed" if self.changed else "")


@dataclasses.dataclass(frozen=True)
class FailStage(Action):
    """A stage did not end well; `reason` holds its last lines."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Initialised(Action):
    """Record that a service's stage init has ended well in this environment, with these inputs."""

    service: str
    digest: str

    def describe(self) -> str:
        """Return which."""
        return f"{self.service} has initialised the environment"


@dataclasses.dataclass(frozen=True)
class Upgraded(Action):
    """Record that all is done of an upgrade; where `reason` is told, its last stage failed."""

    reason: str = ""


def stages_of(spec: AppSpec) -> tuple[ReleaseStage, ...]:
    """Return all stages of what is to run, in the order in which they come."""
    by_name = {service.name: service for service in spec.services}
    return tuple(
        ReleaseStage(service.name, _needs(service, by_name), stage, again=service.again)
        for stage in (*BEFORE, Stage.POST_UPGRADE)
        for service in spec.services
        if service.stage is stage
    )


def _needs(service: Service, by_name: Mapping[str, Service]) -> frozenset[str]:
    """Return what is started before a stage; nothing new comes before stage pre_upgrade."""
    return frozenset() if service.stage is Stage.PRE_UPGRADE else frozenset(_needed(service, by_name))


def _needed(service: Service, by_name: Mapping[str, Service]) -> set[str]:
    found = set(service.depends_on)
    for name in service.depends_on:
        found |= _needed(by_name[name], by_name)  # there are no circles: the source was refused for them
    return found


def before(deployment: Deployment, stages: tuple[ReleaseStage, ...]) -> tuple[ReleaseStage, ...]:
    """Return the stages that are to end well before the release asked for is started; none once it serves."""
    if deployment.release <= max(deployment.serving, 0):
        return ()
    return tuple(each for each in stages if _comes_before(each, deployment))


def _comes_before(stage: ReleaseStage, deployment: Deployment) -> bool:
    if stage.stage is Stage.PRE_UPGRADE:
        return deployment.serving > 0
    if stage.stage is Stage.INIT:
        done = deployment.initialised.get(stage.service)
        return done is None or (stage.again and done != stage.digest)
    return stage.stage is Stage.RELEASE


def after(deployment: Deployment, stages: tuple[ReleaseStage, ...]) -> tuple[ReleaseStage, ...]:
    """Return the stages that follow on the upgrade that has just been made."""
    if not deployment.upgrading == deployment.serving == deployment.release:
        return ()
    return tuple(each for each in stages if each.stage is Stage.POST_UPGRADE)


def upgrades(deployment: Deployment, release: int, stages: tuple[ReleaseStage, ...]) -> bool:
    """Tell whether something follows when this release begins to serve: it is new, and replaces another."""
    return release > deployment.serving > 0 and any(each.stage is Stage.POST_UPGRADE for each in stages)


def plan_stage(stage: ReleaseStage, job: Job | None, *, done_before: bool = False) -> list[Action]:
    """Return what is left to do for a stage, whose job is given (None: there is none yet)."""
    if job is None:
        return [StartStage(stage.service, stage.stage, done_before)]
    if job.phase is Phase.CREATING:
        return [Wait(f"{stage.stage} stage: {stage.service} runs", 2.0, nudged=True)]
    if job.phase is not Phase.READY:
        return [FailStage(_failure(stage, job))]
    return [Initialised(stage.service, stage.digest)] if stage.stage is Stage.INIT else []


def plan_after(stages: tuple[ReleaseStage, ...], jobs: Mapping[str, Job]) -> list[Action]:
    """Return what is left to do of an upgrade once its release alone serves."""
    for stage in stages:
        job = jobs.get(stage.service)
        if job and job.phase not in (Phase.CREATING, Phase.READY):
            return [Upgraded(_failure(stage, job))]
        left = plan_stage(stage, job)
        if left:
            return left
    return [Upgraded()] if stages else []


def _failure(stage: ReleaseStage, job: Job) -> str:
    return f"the {stage.stage} stage failed: {stage.service} {job.status_reason or 'was ended'}"
