# SPDX-License-Identifier: Apache-2.0
"""Engines: what makes a cluster out of machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from stackyard.model.ports.certificates import TLSPair


@dataclasses.dataclass(frozen=True)
class NodeAccess:
    """How to talk to one node's engine: `https://address:2376` with mutual TLS."""

    name: str
    address: str
    role: str
    tls: TLSPair


@dataclasses.dataclass(frozen=True)
class ClusterAccess:
    """How to talk to a cluster: its nodes, managers first."""

    cluster_id: str
    nodes: tuple[NodeAccess, ...]

    @property
    def managers(self) -> tuple[NodeAccess, ...]:
        """Return the nodes that may answer for the whole cluster."""
        return tuple(node for node in self.nodes if node.role == "master")


@dataclasses.dataclass(frozen=True)
class Member:
    """A node as the engine knows it. `state` is ready, down or unknown; `leader` among managers.

    `tasks` is how many containers of services run there; `settled_seconds` how long its own settings (draining,
    labels, role) have been as they are.
    """

    id: str
    name: str
    role: str
    state: str
    address: str
    draining: bool = False
    leader: bool = False
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tasks: int = 0
    settled_seconds: float = 0


@dataclasses.dataclass(frozen=True)
class Look:
    """What one node's engine says of itself. `member` tells whether it belongs to a cluster, healthy or not."""

    version: str
    member: bool = False
    manages: bool = False
    error: str = ""


class Engine(Protocol):
    """Forms a cluster out of machines (swarm, kubernetes, mesos)."""

    def look(self, node: NodeAccess) -> Look | None:
        """Return what the node's engine says of itself, or None while it does not answer."""

    def members(self, node: NodeAccess) -> list[Member]:
        """Return the members as this manager sees them; empty when it is in no cluster.

        Raises Unavailable while the managers have no quorum.
        """

    def init(self, node: NodeAccess) -> None:
        """Form a new cluster of this one node."""

    def join(self, node: NodeAccess, manager: NodeAccess) -> None:
        """Make `node` a member, in its role."""

    def update(self, manager: NodeAccess, member: Member) -> None:
        """Bring the member's own settings to `member.draining` and `member.labels`.

        Draining moves its tasks away and gives it no new ones.
        """

    def recover(self, node: NodeAccess) -> None:
        """Make this manager the only one of its cluster, with all that the cluster knew; for a quorum lost for good."""

    def forget(self, manager: NodeAccess, member: Member) -> None:
        """Take the member out of the cluster's list, demoting it first where needed."""
