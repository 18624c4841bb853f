# SPDX-License-Identifier: Apache-2.0
"""Sources and builds: where code comes from, and one attempt to make images of one revision."""

from __future__ import annotations

import dataclasses
import enum

from stackyard.model.applications import PRODUCTION, AppSpec
from stackyard.model.records import Record


@dataclasses.dataclass(frozen=True)
class Source:
    """Either an uploaded archive (`digest`, sha256 of the gzip'd tar) or a git repository.

    A git source has `repository` and `revision` (branch, tag or commit; empty: the default branch);
    `digest` is then filled when it has been fetched. Where the URL holds a password, `repository` is without it
    and `sealed` is the whole URL, sealed. With `force` it is built even where nothing has changed. With `rebase`
    there is no source: the images of the release that serves are moved to the newest of their stacks.
    `buildpacks` and `sealed_buildpacks` are what the application had chosen then.
    """

    repository: str = ""
    revision: str = ""
    digest: str = ""
    sealed: str = ""
    force: bool = False
    rebase: bool = False
    buildpacks: tuple[str, ...] = ()
    sealed_buildpacks: str = ""


class Step(enum.StrEnum):
    """The steps of a build, in order; each is one or more actions of the worker."""

    QUEUED = "queued"
    FETCH = "fetch"
    DETECT = "detect"
    BUILD = "build"
    RELEASE = "release"
    DEPLOY = "deploy"
    DONE = "done"


PHASES: dict[str, Step] = {
    "fetch": Step.FETCH,
    "detect": Step.DETECT,
    "build": Step.BUILD,
    "release": Step.RELEASE,
    "stage": Step.DEPLOY,
    "health": Step.DEPLOY,
    "switch": Step.DEPLOY,
}
"""What people are told of a push, by the keys of `BuildObserved.seconds`, and in which step it happens."""


@dataclasses.dataclass(frozen=True)
class BuildObserved:
    """How far a build has come: what was fetched and detected, images by service, the release."""

    step: Step = Step.QUEUED
    digest: str = ""
    revision: str = ""
    spec: AppSpec | None = None
    images: dict[str, str] = dataclasses.field(default_factory=dict)
    release: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build(Record):
    """One push to one environment: numbered per application from 1 (`number`; Solum: workflow, `wf_id`)."""

    app_id: str
    number: int
    source: Source
    environment: str = PRODUCTION
    observed: BuildObserved = dataclasses.field(default_factory=BuildObserved)
