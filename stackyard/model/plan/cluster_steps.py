# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a cluster, and the steps that its planner (`plan.clusters`) may ask for.

The worker performs them through the ports; their class names are the steps' names in logs and fault tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from stackyard.model.plan import Action, Wait
from stackyard.model.ports import Look, Machine, MachineSpec, Member


@dataclasses.dataclass(frozen=True)
class Seen:
    """A look at a cluster.

    `looks` has the engines that answer, by machine, and `errors` says why others do not; `members` is empty before
    the cluster is formed and while its managers have no quorum, of which `api` tells the reason. `stuck` names the
    machines that run and have not been of use for so long that waiting is over. `blind` says why nothing could be seen.
    """

    network: bool = False
    machines: tuple[Machine, ...] = ()
    looks: Mapping[str, Look] = dataclasses.field(default_factory=dict)
    members: tuple[Member, ...] = ()
    errors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    api: str = ""
    stuck: frozenset[str] = frozenset()
    blind: str = ""


@dataclasses.dataclass(frozen=True)
class MakeAuthority(Action):
    """Make the cluster's next CA; the first, or one to change over to."""

    def describe(self) -> str:
        """Return it in words."""
        return "making a certificate authority"


@dataclasses.dataclass(frozen=True)
class MakeNetwork(Action):
    """Make the cluster's network."""

    def describe(self) -> str:
        """Return it in words."""
        return "making the cluster's network"


@dataclasses.dataclass(frozen=True)
class _OfMachines(Action):
    """A step that takes machines by name."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _OfMembers(Action):
    """A step that takes members as they are or shall be."""

    members: tuple[Member, ...]


@dataclasses.dataclass(frozen=True)
class AddMachines(Action):
    """Make or restart these machines."""

    specs: tuple[MachineSpec, ...]

    def describe(self) -> str:
        """Return which."""
        return f"adding {joined(spec.name for spec in self.specs)}"


@dataclasses.dataclass(frozen=True)
class ReplaceMachines(_OfMachines):
    """Remove these machines but keep their data, so that they are made anew as the members that they were."""

    def describe(self) -> str:
        """Return which."""
        return f"replacing {joined(self.names)}"


@dataclasses.dataclass(frozen=True)
class RemoveMachines(_OfMachines):
    """Remove these machines with all that they store."""

    def describe(self) -> str:
        """Return which."""
        return f"removing {joined(self.names)}"


@dataclasses.dataclass(frozen=True)
class FormCluster(Action):
    """Form the engine's cluster on its first manager."""

    machine: Machine

    def describe(self) -> str:
        """Return where."""
        return f"forming the cluster on {self.machine.name}"


@dataclasses.dataclass(frozen=True)
class RecoverCluster(Action):
    """Go on with one surviving manager: most of the others lost what they knew, so they can never agree again."""

    machine: Machine

    def describe(self) -> str:
        """Return where."""
        return f"recovering the cluster from {self.machine.name}"


@dataclasses.dataclass(frozen=True)
class JoinMachines(Action):
    """Make these machines members, in their roles."""

    machines: tuple[Machine, ...]

    def describe(self) -> str:
        """Return which."""
        return f"joining {joined(machine.name for machine in self.machines)}"


@dataclasses.dataclass(frozen=True)
class ForgetMembers(_OfMembers):
    """Take members out whose machine is gone, goes, or was made anew."""

    def describe(self) -> str:
        """Return which."""
        return f"forgetting {joined(member.name for member in self.members)}"


@dataclasses.dataclass(frozen=True)
class DrainMembers(_OfMembers):
    """Move what runs on these members away, before their machines go or are replaced."""

    def describe(self) -> str:
        """Return which."""
        return f"draining {joined(member.name for member in self.members)}"


@dataclasses.dataclass(frozen=True)
class MoveTasks(Wait):
    """Wait while what runs on drained members moves; who leads requests there has to follow it."""


@dataclasses.dataclass(frozen=True)
class UpdateMembers(_OfMembers):
    """Bring these members' own settings (draining, labels) to what is given."""

    def describe(self) -> str:
        """Return which."""
        return f"setting up {joined(member.name for member in self.members)}"


@dataclasses.dataclass(frozen=True)
class RemoveNetwork(Action):
    """Remove the cluster's network."""

    def describe(self) -> str:
        """Return it in words."""
        return "removing the cluster's network"


def joined(names: Iterable[str]) -> str:
    """Return names for people, always in the same order."""
    return ", ".join(sorted(names))
