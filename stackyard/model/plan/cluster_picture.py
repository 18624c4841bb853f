# SPDX-License-Identifier: Apache-2.0
"""What is wanted of a cluster beside what is seen of it, by node name: the questions that planner and health ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from stackyard.model.clusters import MASTER, Cluster
from stackyard.model.plan.cluster_steps import Seen
from stackyard.model.ports import Machine, MachineSpec, Member


class Picture:
    """A cluster's nodes, wanted and seen."""

    def __init__(self, cluster: Cluster, specs: Sequence[MachineSpec], seen: Seen) -> None:
        self.cluster = cluster
        self.seen = seen
        self.wanted = {spec.name: spec for spec in specs}
        self.machines: dict[str, Machine] = {machine.name: machine for machine in seen.machines}
        # A node that joined anew may be listed twice: what counts is the one that is ready.
        by_use = sorted(seen.members, key=lambda member: (member.state == "ready", member.id))
        self.members: dict[str, Member] = {member.name: member for member in by_use}

    def running(self, name: str) -> bool:
        """Tell whether the machine runs."""
        return name in self.machines and self.machines[name].state == "running"

    def absent(self, name: str) -> bool:
        """Tell whether only the machine's data is left."""
        return name in self.machines and self.machines[name].state == "absent"

    def dead(self, name: str) -> bool:
        """Tell whether the machine is there and does not run."""
        return name in self.machines and not self.running(name) and not self.absent(name)

    def role(self, name: str) -> str:
        """Return the role that a machine was made for."""
        return self.machines[name].role if name in self.machines else ""

    def outdated(self, name: str) -> bool:
        """Tell whether the machine is there and made of another image, or for other authorities, than wanted."""
        if name not in self.machines or self.absent(name):
            return False
        machine, spec = self.machines[name], self.wanted[name]
        return machine.image not in ("", spec.image) or machine.trust != spec.trust

    def ready(self, name: str) -> bool:
        """Tell whether the node does its work: it runs, answers, and is a member in good standing."""
        member, look = self.members.get(name), self.seen.looks.get(name)
        if not self.running(name) or member is None or look is None or member.state != "ready":
            return False
        return look.member and (member.role != MASTER or look.manages)

    def stale(self, member: Member) -> bool:
        """Tell whether the member is not what its machine is now: that came back empty, joined anew, or is stuck."""
        if member.name not in self.wanted or member.name not in self.seen.looks:
            return False
        if not self.seen.looks[member.name].member:
            return True
        if member.state == "ready":
            return False
        return member.id != self.members[member.name].id or member.name in self.seen.stuck

    @property
    def unready(self) -> list[str]:
        """Return the wanted nodes that do not do their work."""
        return [name for name in self.wanted if not self.ready(name)]

    @property
    def managers(self) -> tuple[int, int]:
        """Return how many managers the cluster counts, and how many of them are ready."""
        masters = [member for member in self.seen.members if member.role == MASTER]
        return len(masters), sum(member.state == "ready" for member in masters)

    def staying(self, going: Collection[str]) -> list[Member]:
        """Return the wanted members but those that are going."""
        return [member for name, member in self.members.items() if name in self.wanted and name not in going]
