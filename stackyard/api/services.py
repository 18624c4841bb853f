# SPDX-License-Identifier: Apache-2.0
"""What handlers need besides the request. Built once by the composition root and carried by every `Call`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from oslo_config import cfg

from stackyard.intents import Intents
from stackyard.model.applications import AppSpec
from stackyard.model.clusters import Cluster
from stackyard.model.ports import (
    Authority,
    Certificates,
    ClusterAccess,
    GitRepositories,
    Jobs,
    LogStore,
    Secrets,
    Sources,
    Told,
    Traffic,
    Workloads,
)
from stackyard.store import Store

LANGUAGE_PACKS: Mapping[str, str] = {
    "python": "Python: requirements.txt or pyproject.toml, run by Procfile or by guess"
}


class Authorities(Protocol):
    """The CAs of clusters: those whose clients all nodes of the cluster accept now."""

    def authority(self, cluster: Cluster, number: int | None = None) -> Authority:
        """Return the cluster's CA; raises Conflict while there is none."""

    def certificate(self, cluster: Cluster) -> str:
        """Return its certificate (PEM); raises Conflict while there is none."""


@dataclasses.dataclass(frozen=True)
class Services:
    """The store, the intents, and the ports that live reads go through.

    `plan` tells what a push of the tree in a folder would do (raises BadInput), as JSON types; it runs nothing of it.
    `detect` returns what that tree asks for, `newest` the newest digest of an image of the platform's own (None: none).
    `reach` opens a cluster (None where it is gone or has no node yet). `language_packs` tells
    what the builder knows: name → description. `told` returns what the router was told of a host,
    `traffic` what a workload was asked in the last seconds.
    """

    conf: cfg.ConfigOpts
    store: Store
    intents: Intents
    secrets: Secrets
    certificates: Certificates
    authorities: Authorities
    workloads: Workloads
    jobs: Jobs
    logs: LogStore
    sources: Sources
    repositories: GitRepositories
    plan: Callable[[str], Mapping[str, Any]]
    detect: Callable[[str], AppSpec]
    newest: Callable[[str], str | None]
    reach: Callable[[Cluster | None], ClusterAccess | None]
    told: Callable[[str], Told] = lambda _host: Told()
    traffic: Callable[[str], Traffic] = lambda _workload: Traffic()
    language_packs: Mapping[str, str] = dataclasses.field(default_factory=lambda: LANGUAGE_PACKS)
