# SPDX-License-Identifier: Apache-2.0
"""From node groups asked for to machines that form one engine, and back to nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from stackyard.model import clusters
from stackyard.model.clusters import Cluster, NodeGroup
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.ports import Look, Machine, MachineSpec, Member


@dataclasses.dataclass(frozen=True)
class Seen:
    """A look at a cluster. `looks` has the engines that answer, by machine; `members` is empty before it is formed."""

    network: bool = False
    machines: tuple[Machine, ...] = ()
    looks: Mapping[str, Look] = dataclasses.field(default_factory=dict)
    members: tuple[Member, ...] = ()


@dataclasses.dataclass(frozen=True)
class MakeAuthority(Action):
    """Make the cluster's own CA."""


@dataclasses.dataclass(frozen=True)
class MakeNetwork(Action):
    """Make the cluster's network and let the registry be reached from it."""


@dataclasses.dataclass(frozen=True)
class AddMachines(Action):
    """Make or restart these machines."""

    specs: tuple[MachineSpec, ...]

    def describe(self) -> str:
        """Return which."""
        return f"adding {_names(spec.name for spec in self.specs)}"


@dataclasses.dataclass(frozen=True)
class FormCluster(Action):
    """Form the engine's cluster on its first manager."""

    machine: Machine


@dataclasses.dataclass(frozen=True)
class ForgetMembers(Action):
    """Take members out whose machine is gone or was made anew."""

    members: tuple[Member, ...]

    def describe(self) -> str:
        """Return which."""
        return f"forgetting {_names(member.name for member in self.members)}"


@dataclasses.dataclass(frozen=True)
class JoinMachines(Action):
    """Make these machines members."""

    machines: tuple[Machine, ...]

    def describe(self) -> str:
        """Return which."""
        return f"joining {_names(machine.name for machine in self.machines)}"


@dataclasses.dataclass(frozen=True)
class DrainMembers(Action):
    """Move what runs on these members away, before their machines go."""

    members: tuple[Member, ...]

    def describe(self) -> str:
        """Return which."""
        return f"draining {_names(member.name for member in self.members)}"


@dataclasses.dataclass(frozen=True)
class RemoveMachines(Action):
    """Remove these machines with all that they store."""

    names: tuple[str, ...]

    def describe(self) -> str:
        """Return which."""
        return f"removing {_names(self.names)}"


@dataclasses.dataclass(frozen=True)
class RemoveNetwork(Action):
    """Remove the cluster's network."""


def plan_cluster(cluster: Cluster, groups: Sequence[NodeGroup], seen: Seen) -> list[Action]:
    """Return what is left to do for the cluster."""
    if cluster.phase in (Phase.DELETING, Phase.DELETE_FAILED):
        return _plan_removal(seen)
    if cluster.secrets is None:
        return [MakeAuthority()]
    if not seen.network:
        return [MakeNetwork()]
    specs = wanted_machines(cluster, groups)
    return _plan_machines(specs, seen) or _plan_membership(specs, seen) or _plan_surplus(specs, seen)


def wanted_machines(cluster: Cluster, groups: Sequence[NodeGroup]) -> list[MachineSpec]:
    """Return the machines that the node groups ask for, managers first."""
    ordered = sorted(groups, key=lambda group: (group.role != clusters.MASTER, group.created_at, group.id))
    return [
        MachineSpec(
            name=clusters.node_name(cluster, group, number),
            cluster_id=cluster.id,
            group_id=group.id,
            role=group.role,
            image=group.image_id or "",
            cpus=group.cpus,
            memory_mb=group.memory_mb,
            volume_gb=group.docker_volume_size or 0,
            trust=cluster.trust,
        )
        for group in ordered
        if group.phase not in (Phase.DELETING, Phase.DELETE_FAILED)
        for number in clusters.numbers(group)
    ]


def _plan_removal(seen: Seen) -> list[Action]:
    if seen.machines:
        return [RemoveMachines(tuple(machine.name for machine in seen.machines))]
    return [RemoveNetwork()] if seen.network else []


def _plan_machines(specs: Sequence[MachineSpec], seen: Seen) -> list[Action]:
    running = {machine.name for machine in seen.machines if machine.state == "running"}
    missing = tuple(spec for spec in specs if spec.name not in running)
    if missing:
        return [AddMachines(missing)]
    silent = [spec.name for spec in specs if spec.name not in seen.looks]
    return [Wait(f"waiting for the engine of {_names(silent)}")] if silent else []


def _plan_membership(specs: Sequence[MachineSpec], seen: Seen) -> list[Action]:
    machines = {machine.name: machine for machine in seen.machines}
    if not seen.members:
        return [FormCluster(machines[specs[0].name])]
    joined = {member.name for member in seen.members if member.state == "ready"}
    outside = tuple(machines[spec.name] for spec in specs if spec.name not in joined)
    # A member that is down while its machine answers was made anew under the same name.
    stale = tuple(member for member in seen.members if member.state == "down" and member.name in machines)
    if stale:
        return [ForgetMembers(stale)]
    known = {member.name for member in seen.members}
    fresh = tuple(machine for machine in outside if machine.name not in known)
    if fresh:
        return [JoinMachines(fresh)]
    return [Wait(f"waiting for {_names(machine.name for machine in outside)} to be ready")] if outside else []


def _plan_surplus(specs: Sequence[MachineSpec], seen: Seen) -> list[Action]:
    wanted = {spec.name for spec in specs}
    surplus = {machine.name for machine in seen.machines} - wanted
    leaving = tuple(member for member in seen.members if member.name not in wanted)
    busy = tuple(member for member in leaving if not member.draining and member.state == "ready")
    if busy:
        return [DrainMembers(busy)]
    if leaving:
        return [ForgetMembers(leaving)]
    return [RemoveMachines(tuple(sorted(surplus)))] if surplus else []


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
