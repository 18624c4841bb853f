# SPDX-License-Identifier: Apache-2.0
"""Clusters of one project: template, cluster, node groups, and what a driver sees of them."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

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
    """Nodes of a cluster that are alike; masters and workers are groups too.

    `image_id` is the image's own name, `image_ref` what the one who asked called it (None: the same). `cpus` and
    `memory_mb` are what the flavor meant when the group was asked for (0: unlimited). `gaps` are the numbers that its
    nodes skip, since those nodes were removed by name while later ones stayed.
    """

    id: str = dataclasses.field(default_factory=new_id)
    cluster_id: str
    project_id: str
    name: str
    role: str = WORKER
    node_count: int = 1
    min_node_count: int = 0
    max_node_count: int | None = None
    image_id: str | None = None
    image_ref: str | None = None
    flavor_id: str | None = None
    cpus: float = 0
    memory_mb: int = 0
    docker_volume_size: int | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    node_labels: dict[str, str] = dataclasses.field(default_factory=dict)
    gaps: tuple[int, ...] = ()
    is_default: bool = False
    phase: Phase = Phase.CREATING
    status_reason: str | None = None
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Node:
    """One node as last observed: the machine and its membership in the engine.

    `state` is ready, draining, down, joining, starting or absent; `reason` says why it is not ready. `trust` tells
    which of the cluster's authorities it serves with (see `Cluster.trust`).
    """

    name: str
    group_id: str
    role: str
    address: str
    state: str
    member_id: str | None = None
    trust: str = "1..1"
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterObserved:
    """What was last seen of a cluster; `authority` is the number of the newest CA that was made (0: none yet)."""

    nodes: tuple[Node, ...] = ()
    api_address: str | None = None
    engine_version: str | None = None
    health: str | None = None
    health_reason: dict[str, str] = dataclasses.field(default_factory=dict)
    authority: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster(Record):
    """Machines of one project running one engine under their own CA.

    `upgrade_to` is the template that an upgrade in hand leads to, at most `batch_size` nodes at a time; `template_id`
    follows when it is done. `authority` is the number of the CA asked for (rotation: one more), and client
    certificates of CAs from `trusted_from` on are accepted.
    """

    user_id: str
    template_id: str
    coe: str
    keypair: str | None = None
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    attributes: dict[str, object] = dataclasses.field(default_factory=dict)
    create_timeout: int = 60
    upgrade_to: str | None = None
    batch_size: int = 1
    authority: int = 1
    trusted_from: int = 1
    secrets: str | None = None
    observed: ClusterObserved = dataclasses.field(default_factory=ClusterObserved)

    @property
    def trust(self) -> str:
        """Return what a node of this cluster serves with and accepts: first and last number of its CAs."""
        return f"{self.trusted_from}..{self.authority}"


def node_name(cluster: Cluster, group: NodeGroup, number: int) -> str:
    """Return the one name of a node, derived from ids so that a second attempt finds the first."""
    return f"sy-{cluster.id[:8]}-{group.id[:4]}-{number}"


def numbers(group: NodeGroup) -> list[int]:
    """Return the numbers of the nodes that a group asks for."""
    free = (number for number in itertools.count() if number not in group.gaps)
    return list(itertools.islice(free, group.node_count))
