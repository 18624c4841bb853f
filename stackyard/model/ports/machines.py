# SPDX-License-Identifier: Apache-2.0
"""Machines of clusters: local containers, servers of a cloud, existing hosts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

from stackyard.model.ports.certificates import TLSPair


@dataclasses.dataclass(frozen=True)
class MachineSpec:
    """A machine to be made. `cpus`, `memory_mb` and `volume_gb` 0 mean unlimited; `trust` is `Cluster.trust`."""

    name: str
    cluster_id: str
    group_id: str
    role: str
    image: str
    cpus: float = 0
    memory_mb: int = 0
    volume_gb: int = 0
    trust: str = "1..1"


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine as seen: `state` is running, stopped, failed, or absent when only its data is left.

    `address` is its IP on the cluster's network; `image` and `trust` are those of the spec that it was made of;
    `limited` tells whether the asked size of its data volume is enforced.
    """

    name: str
    cluster_id: str
    group_id: str
    role: str
    address: str
    state: str
    image: str = ""
    trust: str = "1..1"
    limited: bool = True


class Machines(Protocol):
    """Makes the machines of clusters (local docker, Heat/Nova, existing hosts)."""

    def list(self, cluster_id: str) -> list[Machine]:
        """Return all machines of the cluster, by name."""

    def ensure_network(self, cluster_id: str) -> None:
        """Make the cluster's own network if it is not there."""

    def has_network(self, cluster_id: str) -> bool:
        """Tell whether the cluster's network is there."""

    def create(self, spec: MachineSpec, issue: Callable[[str], TLSPair]) -> Machine:
        """Make and start a machine; `issue(address)` gives the certificate that its engine serves with.

        Data that a machine of this name left is taken up again.
        """

    def delete(self, cluster_id: str, name: str, *, keep_data: bool = False) -> None:
        """Remove the machine with all that it stored, unless the next of its name is to take that up."""

    def delete_network(self, cluster_id: str) -> None:
        """Remove the cluster's network; raises Unavailable while machines are still on it."""

    def watch(self) -> Iterator[str]:
        """Yield the id of a cluster whenever one of its machines starts, ends or goes; ends when the look-out does."""
