# SPDX-License-Identifier: Apache-2.0
"""A fake of each port, in memory, held to the same contract as the real drivers (tests/drivers).

For unit tests and trials only; one section for each port. A fake engine sees machines that a fake made.
"""

from __future__ import annotations

import builtins
import dataclasses
import queue
import threading
import time
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

    def __init__(self, limited: bool = True) -> None:
        """Begin with no network and no machine; `limited` tells whether the size of volumes is enforced."""
        self.networks: dict[str, str] = {}
        self.machines: dict[tuple[str, str], Machine] = {}
        self.certificates: dict[str, TLSPair] = {}
        self.data: dict[tuple[str, str], int] = {}
        self._limited = limited
        self._made = 0
        self._watching: builtins.list[queue.SimpleQueue[str | None]] = []
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
        """Make the machine, or start it again, under the address that it or its data has; keeps one that runs."""
        if spec.cluster_id not in self.networks:
            raise errors.Unavailable(f"making node {spec.name}: the cluster's network is not there yet")
        key = (spec.cluster_id, spec.name)
        with self._lock:
            found = self.machines.get(key)
            if found and found.state == "running":
                return found
            address = found.address if found else self._free_address(spec.cluster_id)
            self._made += 1
            self.data.setdefault(key, self._made)
            limited = self._limited or not spec.volume_gb
            made = Machine(
                spec.name, spec.cluster_id, spec.group_id, spec.role, address, "running", spec.image, spec.trust
            )
            self.machines[key] = dataclasses.replace(made, limited=limited)
        self.certificates[address] = issue(address)
        self._tell(spec.cluster_id)
        return self.machines[key]

    def delete(self, cluster_id: str, name: str, *, keep_data: bool = False) -> None:
        """Forget the machine, or all of it but its data."""
        with self._lock:
            gone = self.machines.pop((cluster_id, name), None)
            if gone and keep_data:
                self.machines[cluster_id, name] = dataclasses.replace(gone, state="absent")
            else:
                self.data.pop((cluster_id, name), None)
        if gone:
            self.certificates.pop(gone.address, None)
            self._tell(cluster_id)

    def delete_network(self, cluster_id: str) -> None:
        """Forget the network and what data is left; raises Unavailable while machines are on it."""
        left = self.list(cluster_id)
        if any(machine.state != "absent" for machine in left):
            raise errors.Unavailable("removing the cluster's network: nodes are still on it")
        for machine in left:
            self.delete(cluster_id, machine.name)
        self.networks.pop(cluster_id, None)

    def watch(self) -> Iterator[str]:
        """Yield the cluster of each machine that starts, ends or goes, until `end_watch` ends the look-out."""
        mine: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._watching.append(mine)
        while (cluster_id := mine.get()) is not None:
            yield cluster_id
        raise errors.Unavailable("watching the nodes: the Engine has ended")

    def end_watch(self) -> None:
        """End all look-outs, as when an Engine ends."""
        for one in self._watching:
            one.put(None)

    def stop(self, cluster_id: str, name: str) -> None:
        """Let the machine be found stopped."""
        with self._lock:
            machine = self.machines[cluster_id, name]
            self.machines[cluster_id, name] = dataclasses.replace(machine, state="stopped")
        self._tell(cluster_id)

    def data_at(self, address: str) -> int | None:
        """Return which data the machine running at this address has, None when there is none."""
        running = (key for key, one in self.machines.items() if one.address == address and one.state == "running")
        return next((self.data[key] for key in running), None)

    def _tell(self, cluster_id: str) -> None:
        for one in self._watching:
            one.put(cluster_id)

    def _free_address(self, cluster_id: str) -> str:
        used = {machine.address for (cluster, _), machine in self.machines.items() if cluster == cluster_id}
        hosts = ip_network(self.networks[cluster_id]).hosts()
        return next(str(host) for host in builtins.list(hosts)[1:] if str(host) not in used)


# --- engines -----------------------------------------------------------------------------------


@dataclasses.dataclass
class _Swarm:
    """A swarm: its members by id, those that vote, when each was last changed, and whose data each member's is."""

    members: dict[str, Member] = dataclasses.field(default_factory=dict)
    voters: set[str] = dataclasses.field(default_factory=set)
    changed: dict[str, float] = dataclasses.field(default_factory=dict)
    data: dict[str, int] = dataclasses.field(default_factory=dict)


class FakeEngine:
    """Swarms that live in the data of machines: one that does not run is down, one made anew is blank.

    `tasks` says how many containers of services run on a member (name); draining ends them.
    """

    def __init__(self, machines: FakeMachines) -> None:
        """Take the machines that engines run on."""
        self._machines = machines
        self._swarms: list[_Swarm] = []
        self._count = 0
        self.tasks: dict[str, int] = {}

    def look(self, node: NodeAccess) -> Look | None:
        """Return what a running machine's engine would say."""
        if self._machines.data_at(node.address) is None:
            return None
        swarm, member = self._of(node)
        error = "" if swarm is None or self._led(swarm) else "the swarm does not have a leader"
        return Look("20.10.24", member is not None, member is not None and member.role == MASTER, error)

    def members(self, node: NodeAccess) -> list[Member]:
        """Return the members of the swarm that the node manages, with those of stopped machines down."""
        self._answering(node)
        swarm, member = self._of(node)
        if swarm is None or member is None or member.role != MASTER:
            return []
        self._leader(swarm)
        seen = [self._seen(swarm, found) for found in swarm.members.values()]
        return sorted(seen, key=lambda found: (found.name, found.id))

    def init(self, node: NodeAccess) -> None:
        """Form a swarm of this node, unless it manages one."""
        self._answering(node)
        _, member = self._of(node)
        if member is None or member.role != MASTER:
            self._leave(node)
            self._swarms.append(_Swarm())
            self._add(self._swarms[-1], node)

    def join(self, node: NodeAccess, manager: NodeAccess) -> None:
        """Note the node as a member, taking it out of any other swarm."""
        self._answering(node)
        swarm = self._managed(manager)
        if self._of(node)[0] is not swarm:
            self._leave(node)
            self._add(swarm, node)

    def update(self, manager: NodeAccess, member: Member) -> None:
        """Note the member's settings; what has them already stays settled."""
        swarm = self._managed(manager)
        found = swarm.members.get(member.id)
        if found is None or (found.draining, found.labels) == (member.draining, member.labels):
            return
        swarm.members[member.id] = dataclasses.replace(found, draining=member.draining, labels=dict(member.labels))
        swarm.changed[member.id] = time.monotonic()
        if member.draining:
            self.tasks.pop(found.name, None)

    def recover(self, node: NodeAccess) -> None:
        """Let only this manager vote, unless its swarm has a leader."""
        self._answering(node)
        swarm, member = self._of(node)
        if swarm is None or member is None or member.role != MASTER:
            raise errors.GiveUp(f"recovering the swarm on {node.name}: the node is no manager of a swarm")
        if not self._led(swarm):
            for other in swarm.voters - {member.id}:
                swarm.data.pop(other, None)
            swarm.voters = {member.id}

    def forget(self, manager: NodeAccess, member: Member) -> None:
        """Take the member out; refuses the last manager."""
        swarm = self._managed(manager)
        if swarm.voters == {member.id}:
            raise errors.GiveUp(f"forgetting {member.name}: it is the last manager of the swarm")
        swarm.voters.discard(member.id)
        for noted in (swarm.members, swarm.changed, swarm.data):
            noted.pop(member.id, None)

    def _answering(self, node: NodeAccess) -> None:
        if self.look(node) is None:
            raise errors.Unavailable(f"the engine of {node.name} does not answer")

    def _of(self, node: NodeAccess) -> tuple[_Swarm, Member] | tuple[None, None]:
        """Return the swarm and member that the node's data knows of."""
        data = self._machines.data_at(node.address)
        for swarm in self._swarms:
            for ident, has in swarm.data.items():
                if has == data:
                    return swarm, swarm.members[ident]
        return None, None

    def _managed(self, manager: NodeAccess) -> _Swarm:
        self._answering(manager)
        swarm, member = self._of(manager)
        if swarm is None or member is None or member.role != MASTER:
            raise errors.Unavailable(f"{manager.name} manages no swarm")
        self._leader(swarm)
        return swarm

    def _alive(self, swarm: _Swarm, ident: str) -> bool:
        has = self._machines.data_at(swarm.members[ident].address)
        return has is not None and swarm.data.get(ident) == has

    def _led(self, swarm: _Swarm) -> bool:
        return 2 * sum(self._alive(swarm, ident) for ident in swarm.voters) > len(swarm.voters)

    def _leader(self, swarm: _Swarm) -> str:
        """Return the member that leads; raises Unavailable without quorum."""
        if not self._led(swarm):
            raise errors.Unavailable("the swarm does not have a leader: too few managers are online")
        return next(ident for ident in swarm.members if ident in swarm.voters and self._alive(swarm, ident))

    def _add(self, swarm: _Swarm, node: NodeAccess) -> None:
        self._count += 1
        ident, role = f"member{self._count}", MASTER if node.role == MASTER else WORKER
        swarm.members[ident] = Member(ident, node.name, role, "ready", node.address)
        swarm.changed[ident], data = time.monotonic(), self._machines.data_at(node.address)
        if data is not None:
            swarm.data[ident] = data
        if role == MASTER:
            swarm.voters.add(ident)

    def _leave(self, node: NodeAccess) -> None:
        """Let the node's data know of no swarm; there its member is down from now on."""
        swarm, member = self._of(node)
        if swarm is not None and member is not None:
            swarm.data.pop(member.id)

    def _seen(self, swarm: _Swarm, member: Member) -> Member:
        alive = self._alive(swarm, member.id)
        return dataclasses.replace(
            member,
            state="ready" if alive else "down",
            leader=member.id == self._leader(swarm),
            tasks=self.tasks.get(member.name, 0) if alive else 0,
            settled_seconds=time.monotonic() - swarm.changed[member.id],
        )
