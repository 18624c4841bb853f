# SPDX-License-Identifier: Apache-2.0
"""The limits that intents check, and what a caller can see. Used by every intent; knows no HTTP."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TypeVar

from oslo_config import cfg

from stackyard.model import errors
from stackyard.model.records import Caller, utcnow
from stackyard.store import Page
from stackyard.store.records import Repository

T = TypeVar("T")

SWARM = frozenset({"swarm", "swarm-mode", "docker"})
CLUSTER = "Cluster"
APPLICATION = "Application"


@dataclasses.dataclass(frozen=True)
class Rules:
    """Limits of a platform. `coes` are the engines that it has a driver for; times are in seconds."""

    coes: frozenset[str] = SWARM
    max_clusters: int = 20
    max_applications: int = 100
    build_seconds: int = 1800
    ready_seconds: int = 60

    @classmethod
    def read(cls, conf: cfg.ConfigOpts) -> Rules:
        """Return the rules that the options say."""
        return cls(
            max_clusters=conf.machines.max_clusters_per_project,
            max_applications=conf.apps.max_per_project,
            build_seconds=conf.apps.build_seconds,
            ready_seconds=conf.apps.ready_seconds,
        )


def visible(rows: Repository[T], caller: Caller, ident: str) -> T:
    """Return what the caller means by an id or a name: in its own project first, for admins then anywhere."""
    try:
        return rows.find(ident, caller.project_id)
    except errors.NotFound:
        if not caller.is_admin:
            raise
        return rows.find(ident, None)


def page_of(rows: Repository[T], caller: Caller, page: Page) -> list[T]:
    """Return a page of what the caller can see, all projects' for admins; another project's marker is none."""
    project = None if caller.is_admin else caller.project_id
    if page.marker:
        try:
            rows.find(page.marker, project)
        except errors.NotFound:
            raise errors.BadInput(f"marker '{page.marker[:64]}' could not be found") from None
    return rows.list(project, page)


def within(seconds: float) -> datetime.datetime:
    """Return the deadline of an operation that may take so long."""
    return utcnow() + datetime.timedelta(seconds=seconds)
