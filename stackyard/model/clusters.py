# SPDX-License-Identifier: Apache-2.0
"""Clusters of one project: template, cluster, node groups, and what a driver sees of them."""

from __future__ import annotations

import dataclasses
import datetime

from stackyard.model.phase import Phase
from stackyard.model.records import Record, new_id, utcnow

MASTER = "master"
WORKER = "worker"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterTemplate:
    """What clusters of one kind have in common (Magnum: cluster template)."""

    id: str = dataclasses.field(default_factory=new_id)
    project_id: str
    user_id: str
    name: str | None
    coe: str
    image_id: str
    attributes: dict[str, object] = dataclasses.field(default_factory=dict)
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    public: bool = False
    hidden: bool = False
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """Nodes of a cluster that are alike; masters and workers are groups too."""

    id: str = dataclasses.field(default_factory=new_id)
    cluster_id: str
    project_id: str
    name: str
    role: str = WORKER
    node_count: int = 1
    min_node_count: int = 0
    max_node_count: int | None = None
    image_id: str | None = None
    flavor_id: str | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    is_default: bool = False
    phase: Phase = Phase.CREATING
    status_reason: str | None = None
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Node:
    """One node as last observed: the machine and its membership in the engine."""

    name: str
    group_id: str
    role: str
    address: str
    state: str
    member_id: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterObserved:
    """What was last seen of a cluster; `authority` tells that its CA exists."""

    nodes: tuple[Node, ...] = ()
    api_address: str | None = None
    engine_version: str | None = None
    health: str | None = None
    health_reason: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster(Record):
    """Machines of one project running one engine under their own CA."""

    user_id: str
    template_id: str
    coe: str
    keypair: str | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    attributes: dict[str, object] = dataclasses.field(default_factory=dict)
    create_timeout: int = 60
    secrets: str | None = None
    observed: ClusterObserved = dataclasses.field(default_factory=ClusterObserved)


def node_name(cluster: Cluster, group: NodeGroup, number: int) -> str:
    """Return the one name of a node, derived from ids so that a second attempt finds the first."""
    return f"sy-{cluster.id[:8]}-{group.id[:4]}-{number}"
