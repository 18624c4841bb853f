# SPDX-License-Identifier: Apache-2.0
"""A fake of each port, in memory, held to the same contract as the real drivers (tests/drivers).

For unit tests and trials only; one section for each port. A fake engine sees machines that a fake made.
"""

from __future__ import annotations

import builtins
import dataclasses
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network

from stackyard.drivers.workloads.fake import FakeWorkloads
from stackyard.model import errors
from stackyard.model.clusters import MASTER, WORKER
from stackyard.model.ports import Look, Machine, MachineSpec, Member, NodeAccess, TLSPair

__all__ = ["FakeEngine", "FakeMachines", "FakeWorkloads"]

# --- machines ----------------------------------------------------------------------------------


class FakeMachines:
    """Machines that are entries of a dictionary; `stop` makes one fail as a real one would."""

    def __init__(self) -> None:
        """Begin with no network and no machine."""
        self.networks: dict[str, str] = {}
        self.machines: dict[tuple[str, str], Machine] = {}
        self.certificates: dict[str, TLSPair] = {}
        self._lock = threading.Lock()

    def list(self, cluster_id: str) -> list[Machine]:
        """Return all machines of the cluster, by name."""
        with self._lock:
            found = [machine for (cluster, _), machine in self.machines.items() if cluster == cluster_id]
        return sorted(found, key=lambda machine: machine.name)

    def ensure_network(self, cluster_id: str) -> None:
        """Note the network, with a subnet of its own."""
        with self._lock:
            subnets = ip_network("10.181.0.0/16").subnets(new_prefix=24)
            free = (str(subnet) for subnet in subnets if str(subnet) not in self.networks.values())
            self.networks.setdefault(cluster_id, next(free))

    def has_network(self, cluster_id: str) -> bool:
        """Tell whether the network was made."""
        return cluster_id in self.networks

    def create(self, spec: MachineSpec, issue: Callable[[str], TLSPair]) -> Machine:
        """Make the machine, or start it again under the address that it has."""
        if spec.cluster_id not in self.networks:
            raise errors.Unavailable(f"making node {spec.name}: the cluster's network is not there yet")
        with self._lock:
            found = self.machines.get((spec.cluster_id, spec.name))
            address = found.address if found else self._free_address(spec.cluster_id)
            made = Machine(
                spec.name, spec.cluster_id, spec.group_id, spec.role, address, "running", spec.image, spec.trust
            )
            self.machines[spec.cluster_id, spec.name] = made
        if not found or found.state != "running":
            self.certificates[address] = issue(address)
        return made

    def delete(self, cluster_id: str, name: str, *, keep_data: bool = False) -> None:
        """Forget the machine, or all of it but its data."""
        with self._lock:
            gone = self.machines.pop((cluster_id, name), None)
            if gone and keep_data:
                self.machines[cluster_id, name] = dataclasses.replace(gone, state="absent")
        if gone:
            self.certificates.pop(gone.address, None)

    def delete_network(self, cluster_id: str) -> None:
        """Forget the network; raises Unavailable while machines are on it."""
        if self.list(cluster_id):
            raise errors.Unavailable("removing the cluster's network: nodes are still on it")
        self.networks.pop(cluster_id, None)

    def watch(self) -> Iterator[str]:
        """Tell of nothing: who uses a fake looks often enough."""
        return iter(())

    def stop(self, cluster_id: str, name: str) -> None:
        """Let the machine be found stopped."""
        with self._lock:
            machine = self.machines[cluster_id, name]
            self.machines[cluster_id, name] = dataclasses.replace(machine, state="stopped")

    def running(self, address: str) -> bool:
        """Tell whether a running machine has this address."""
        return any(machine.address == address and machine.state == "running" for machine in self.machines.values())

    def _free_address(self, cluster_id: str) -> str:
        used = {machine.address for (cluster, _), machine in self.machines.items() if cluster == cluster_id}
        hosts = ip_network(self.networks[cluster_id]).hosts()
        return next(str(host) for host in builtins.list(hosts)[1:] if str(host) not in used)


# --- engines -----------------------------------------------------------------------------------


class FakeEngine:
    """Swarms that are dictionaries of members; a machine that does not run does not answer."""

    def __init__(self, machines: FakeMachines) -> None:
        """Take the machines that engines run on."""
        self._machines = machines
        self._swarms: dict[str, dict[str, Member]] = {}
        self._count = 0

    def look(self, node: NodeAccess) -> Look | None:
        """Return what a running machine's engine would say."""
        if not self._machines.running(node.address):
            return None
        swarm = self._of(node)
        return Look("20.10.24", swarm is not None, swarm is not None and swarm[node.address].role == MASTER)

    def members(self, node: NodeAccess) -> list[Member]:
        """Return the members of the swarm that the node manages, with those of stopped machines down."""
        self._answering(node)
        swarm = self._of(node)
        if swarm is None or swarm[node.address].role != MASTER:
            return []
        seen = [dataclasses.replace(member, state=self._state(member)) for member in swarm.values()]
        return sorted(seen, key=lambda member: (member.name, member.id))

    def init(self, node: NodeAccess) -> None:
        """Form a swarm of this node, unless it manages one."""
        self._answering(node)
        swarm = self._of(node)
        if swarm is None or swarm[node.address].role != MASTER:
            self._leave(node)
            self._swarms[node.address] = {node.address: dataclasses.replace(self._member(node), leader=True)}

    def join(self, node: NodeAccess, manager: NodeAccess) -> None:
        """Note the node as a member, taking it out of any other swarm."""
        self._answering(node)
        self._answering(manager)
        swarm = self._of(manager)
        if swarm is None:
            raise errors.Unavailable(f"joining {node.name}: {manager.name} manages no swarm")
        if node.address not in swarm:
            self._leave(node)
            swarm[node.address] = self._member(node)

    def update(self, manager: NodeAccess, member: Member) -> None:
        """Note the member's settings."""
        swarm = self._of(manager) or {}
        for address, found in swarm.items():
            if found.id == member.id:
                swarm[address] = dataclasses.replace(found, draining=member.draining, labels=member.labels)

    def recover(self, node: NodeAccess) -> None:
        """Leave only this manager in its swarm."""
        self._answering(node)
        swarm = self._of(node) or {}
        self._leave(node)
        self._swarms[node.address] = {node.address: dataclasses.replace(swarm[node.address], leader=True)}

    def forget(self, manager: NodeAccess, member: Member) -> None:
        """Take the member out; refuses the last manager."""
        swarm = self._of(manager) or {}
        address = next((address for address, found in swarm.items() if found.id == member.id), None)
        if address is None:
            return
        if swarm[address].role == MASTER and sum(found.role == MASTER for found in swarm.values()) == 1:
            raise errors.GiveUp(f"forgetting {member.name}: it is the last manager of the swarm")
        del swarm[address]

    def _answering(self, node: NodeAccess) -> None:
        if self.look(node) is None:
            raise errors.Unavailable(f"the engine of {node.name} does not answer")

    def _of(self, node: NodeAccess) -> dict[str, Member] | None:
        return next((swarm for swarm in self._swarms.values() if node.address in swarm), None)

    def _leave(self, node: NodeAccess) -> None:
        swarm = self._of(node)
        if swarm is not None:
            del swarm[node.address]

    def _member(self, node: NodeAccess) -> Member:
        self._count += 1
        role = MASTER if node.role == MASTER else WORKER
        return Member(f"member{self._count}", node.name, role, "ready", node.address)

    def _state(self, member: Member) -> str:
        return "ready" if self._machines.running(member.address) else "down"
