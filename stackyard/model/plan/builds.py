# SPDX-License-Identifier: Apache-2.0
"""The steps of a push, from a recorded revision to a release that serves."""

from __future__ import annotations

import dataclasses

from stackyard.model.applications import Deployment, Service
from stackyard.model.builds import Build, BuildObserved
from stackyard.model.phase import ENDING
from stackyard.model.plan import Action, Wait


@dataclasses.dataclass(frozen=True)
class Seen:
    """A look around a build: whether an earlier one is under way, and what became of its release.

    `newest` is the number of the newest build for the same environment that is not done; `siblings` are all
    environments of the application; `gone` tells that the one to push to is not there any more.
    """

    earlier: bool = False
    newest: int = 0
    cluster_ready: bool = True
    deployment: Deployment | None = None
    siblings: tuple[Deployment, ...] = ()
    gone: bool = False


@dataclasses.dataclass(frozen=True)
class FetchSource(Action):
    """Bring the revision into the platform's keeping."""


@dataclasses.dataclass(frozen=True)
class DetectServices(Action):
    """Read from the tree what shall run."""


@dataclasses.dataclass(frozen=True)
class RebaseImages(Action):
    """Move the images of the release that serves to the newest of their stacks, and write a release of them."""


@dataclasses.dataclass(frozen=True)
class BuildImage(Action):
    """Make (or find) the image of one service."""

    service: Service

    def describe(self) -> str:
        """Return which."""
        return f"building {self.service.name}" if self.service.build else f"finding the image of {self.service.name}"


@dataclasses.dataclass(frozen=True)
class MakeRelease(Action):
    """Write the release and ask for its deployment, in one transaction."""


@dataclasses.dataclass(frozen=True)
class Abandon(Action):
    """This build leads nowhere."""

    reason: str


def plan_build(build: Build, seen: Seen) -> list[Action]:
    """Return what is left to do for the build; empty when its release serves."""
    observed = build.observed
    if build.phase in ENDING:
        return []
    if seen.gone:
        return [Abandon(f"environment {build.environment} was removed while this push was under way")]
    if observed.release:
        return _plan_deployment(observed.release, seen)
    return _plan_turn(build, seen) or ([RebaseImages()] if build.source.rebase else _plan_image(observed))


def _plan_turn(build: Build, seen: Seen) -> list[Action]:
    if seen.earlier and seen.newest > build.number:
        return [Abandon(f"push {seen.newest} came while this one waited for its turn, and takes it")]
    if seen.earlier:
        return [Wait("waiting for the push before this one", 1.0, nudged=True)]
    return [] if seen.cluster_ready else [Wait("waiting for the cluster", 0.5)]


def _plan_image(observed: BuildObserved) -> list[Action]:
    if not observed.digest:
        return [FetchSource()]
    if observed.spec is None:
        return [DetectServices()]
    missing = [service for service in observed.spec.services if service.name not in observed.images]
    return [BuildImage(missing[0])] if missing else [MakeRelease()]


def _plan_deployment(release: int, seen: Seen) -> list[Action]:
    deployment = seen.deployment
    if deployment is None or deployment.serving == release:
        return []
    if deployment.release == release:
        return [Wait(deployment.status_reason or "waiting for the release to be ready", 1.0, nudged=True)]
    if max(deployment.release, deployment.serving) > release:
        return []  # a newer wish took over; this one is history
    return [Abandon(deployment.status_reason or f"release {release} did not become ready")]
