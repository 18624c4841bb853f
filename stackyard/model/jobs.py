# SPDX-License-Identifier: Apache-2.0
"""Jobs: commands of an application that run once: its stages, what a schedule asks for, `stackyard run` and `check`."""

from __future__ import annotations

import dataclasses
import enum
import uuid

from stackyard.model.applications import PRODUCTION
from stackyard.model.records import Record

_NAMES = uuid.UUID("5f0c1a52-7f3b-5d0e-8f58-0c3b1d1f7e21")
HISTORY = 50
"""So many jobs of each kind are remembered of an application."""
OUTPUTS = 5
"""So many ended jobs of an application keep their containers, and with them their output; each for an hour."""


class Kind(enum.StrEnum):
    """Who asks for a job."""

    INIT = "init"
    PRE_UPGRADE = "pre_upgrade"
    RELEASE = "release"
    POST_UPGRADE = "post_upgrade"
    CHECK = "check"
    CRON = "cron"
    RUN = "run"


STAGES = frozenset({Kind.INIT, Kind.PRE_UPGRADE, Kind.RELEASE, Kind.POST_UPGRADE})
"""Those that a deployment waits for."""


@dataclasses.dataclass(frozen=True)
class JobObserved:
    """What became of a job. Times are seconds of the epoch; `cleared` tells that its container is gone for good."""

    node: str = ""
    started_at: float = 0
    ended_at: float = 0
    exit_code: int | None = None
    cleared: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(Record):
    """A command that runs once in the image of a service of a release, numbered per application from 1.

    `command` replaces the service's own (None: keeps it). An `attached` one is started by who attaches to it. `stop`
    is the reason why it shall end before it does so itself.
    """

    app_id: str
    number: int
    deployment_id: str
    environment: str = PRODUCTION
    kind: Kind
    release: int
    service: str
    command: tuple[str, ...] | None = None
    terminal: bool = False
    attached: bool = False
    stop: str = ""
    observed: JobObserved = dataclasses.field(default_factory=JobObserved)

    @property
    def label(self) -> str:
        """Return the name that its log lines carry."""
        return f"run.{self.number}" if self.kind is Kind.RUN else self.service


def stage_id(deployment_id: str, release: int, service: str) -> str:
    """Return the id of the job that is a service's stage: the same each time, so that it is made once."""
    return str(uuid.uuid5(_NAMES, f"{deployment_id}/{release}/{service}"))


def cron_id(deployment_id: str, service: str, minute: int) -> str:
    """Return the id of the job of a schedule's minute (minutes of the epoch), however many workers come to it."""
    return str(uuid.uuid5(_NAMES, f"{deployment_id}/{service}@{minute}"))
