# SPDX-License-Identifier: Apache-2.0
"""The limits that intents check, and what a caller can see. Used by every intent; knows no HTTP."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import TypeVar

from oslo_config import cfg

from stackyard.model import errors, offers
from stackyard.model.applications import Application
from stackyard.model.clusters import Cluster
from stackyard.model.offers import SWARM_LABELS, Offers
from stackyard.model.phase import ENDING, Phase
from stackyard.model.records import Caller, utcnow
from stackyard.store import Page, Transaction
from stackyard.store.records import Repository

T = TypeVar("T")

SWARM = frozenset({"swarm", "swarm-mode", "docker"})
DRIVERS = dict.fromkeys(sorted(SWARM), SWARM_LABELS)
CLUSTER = "Cluster"
APPLICATION = "Application"
USABLE = frozenset({Phase.READY, Phase.CREATING, Phase.UPDATING, Phase.UPDATE_FAILED})
"""Phases of a cluster that can take applications, now or soon."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """Limits and offers of a platform. `coes` are the engines that it has a driver for; times are in seconds."""

    coes: frozenset[str] = SWARM
    offers: Offers = dataclasses.field(default_factory=lambda: Offers(labels=DRIVERS))
    max_clusters: int = 20
    max_applications: int = 100
    build_seconds: int = 1800
    ready_seconds: int = 60
    domain: str = "localhost"
    job_seconds: int = 86400
    check_seconds: int = 600
    backup_seconds: int = 21600

    @classmethod
    def read(cls, conf: cfg.ConfigOpts) -> Rules:
        """Return the rules that the options say."""
        return cls(
            max_clusters=conf.machines.max_clusters_per_project,
            max_applications=conf.apps.max_per_project,
            build_seconds=conf.apps.build_seconds,
            ready_seconds=conf.apps.ready_seconds,
            domain=conf.apps.domain,
            job_seconds=conf.apps.job_seconds,
            check_seconds=conf.apps.stage_seconds,
            backup_seconds=conf.backups.seconds,
            offers=Offers(
                images=offers.images(conf.machines.images),
                flavors=offers.flavors(conf.machines.flavors),
                networks=offers.networks(conf.machines.networks),
                labels=DRIVERS,
            ),
        )


def check_labels(rules: Rules, coe: str, labels: Mapping[str, str]) -> None:
    """Raise BadInput for labels that the engine's driver does not know; engines without a driver take any."""
    if coe in rules.offers.labels:
        offers.check_labels(rules.offers.labels[coe], labels)


def visible(rows: Repository[T], caller: Caller, ident: str) -> T:
    """Return what the caller means by an id or a name: in its own project first, for admins then anywhere."""
    try:
        return rows.find(ident, caller.project_id)
    except errors.NotFound:
        if not caller.is_admin:
            raise
        return rows.find(ident, None)


def who(caller: Caller) -> str:
    """Return what history calls a caller."""
    return caller.user_name or caller.user_id


def living(tx: Transaction, caller: Caller, ident: str) -> Application:
    """Return an application that nobody has asked to destroy; raises NotFound, Conflict."""
    app = visible(tx.applications, caller, ident)
    if app.phase in ENDING:
        raise errors.Conflict(f"application {app.name} is being destroyed")
    return app


def usable(cluster: Cluster) -> Cluster:
    """Return a cluster that can take applications; raises Conflict for one that can't."""
    if cluster.phase not in USABLE:
        raise errors.Conflict(f"cluster {cluster.name} can't take applications: it is {cluster.phase.value}")
    return cluster


def page_of(rows: Repository[T], caller: Caller, page: Page) -> list[T]:
    """Return a page of what the caller can see, all projects' for admins; another project's marker is none."""
    project = None if caller.is_admin else caller.project_id
    if page.marker:
        try:
            rows.find(page.marker, project)
        except errors.NotFound:
            raise errors.NotFound(f"marker '{page.marker[:64]}' could not be found") from None
    return rows.list(project, page)


def within(seconds: float) -> datetime.datetime:
    """Return the deadline of an operation that may take so long."""
    return utcnow() + datetime.timedelta(seconds=seconds)


def deadline(cluster: Cluster) -> datetime.datetime | None:
    """Return when an operation that starts now has failed; None where the cluster's timeout is 0."""
    return within(cluster.create_timeout * 60) if cluster.create_timeout else None
