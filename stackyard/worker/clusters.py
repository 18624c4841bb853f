# SPDX-License-Identifier: Apache-2.0
"""Clusters: gathers what is seen of machines and engine, and maps the planner's actions to ports."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.model import errors, phase
from stackyard.model.clusters import MASTER, Cluster, Node, NodeGroup
from stackyard.model.phase import Phase, Trigger
from stackyard.model.plan import Action
from stackyard.model.plan import clusters as steps
from stackyard.model.ports import Engine, Machine, Machines, MachineSpec, Member, NodeAccess, Registry, TLSPair
from stackyard.store import Store, Transaction
from stackyard.store.clusters import Clusters as Rows
from stackyard.worker.reconciler import Change, Passive

T = TypeVar("T")
V = TypeVar("V")
QUOTA = "Cluster"


class Clusters(Passive):
    """The noun cluster for the loop."""

    def __init__(
        self, store: Store, machines: Machines, engine: Engine, registry: Registry, authorities: Authorities
    ) -> None:
        self.store = store
        self.machines = machines
        self.engine = engine
        self.registry = registry
        self.authorities = authorities
        self.actions: dict[type[Action], Callable[..., Change[Cluster] | None]] = {
            steps.MakeAuthority: self._make_authority,
            steps.MakeNetwork: self._make_network,
            steps.AddMachines: self._add_machines,
            steps.FormCluster: self._form_cluster,
            steps.JoinMachines: self._join_machines,
            steps.ForgetMembers: self._forget_members,
            steps.DrainMembers: self._drain_members,
            steps.RemoveMachines: self._remove_machines,
            steps.RemoveNetwork: self._remove_network,
        }

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of clusters."""
        return tx.clusters

    def observe(self, record: Cluster) -> steps.Seen:
        """Look at network and machines, then at those engines that answer."""
        network = self.machines.has_network(record.id)
        machines = tuple(self.machines.list(record.id))
        if record.secrets is None or record.phase is Phase.DELETING:
            return steps.Seen(network=network, machines=machines)
        running = [machine for machine in machines if machine.state == "running"]
        found = _parallel(lambda machine: self.engine.look(self._node(record, machine)), running)
        looks = {machine.name: look for machine, look in zip(running, found, strict=True) if look}
        return steps.Seen(network, machines, looks, self._members(record, machines, looks))

    def _members(self, record: Cluster, machines: Sequence[Machine], answering: Iterable[str]) -> tuple[Member, ...]:
        answering = set(answering)
        for machine in machines:
            if machine.role == MASTER and machine.name in answering:
                members = tuple(self.engine.members(self._node(record, machine)))
                if members:
                    return members
        return ()

    def plan(self, record: Cluster, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return steps.plan_cluster(record, self._groups(record), seen)

    def act(self, action: Action, record: Cluster, seen: steps.Seen) -> Change[Cluster] | None:
        """Perform one action."""
        return self.actions[type(action)](record, seen, action)

    def reached(self, record: Cluster, seen: steps.Seen) -> Change[Cluster]:
        """Note the nodes, where the engine answers, and that all is well; node groups follow."""
        members = {member.name: member for member in seen.members}
        nodes = tuple(
            Node(machine.name, machine.group_id, machine.role, machine.address, "ready", members[machine.name].id)
            for machine in seen.machines
            if machine.name in members
        )
        manager = next(node for node in nodes if node.role == MASTER)
        observed = dataclasses.replace(
            record.observed,
            nodes=nodes,
            api_address=f"tcp://{manager.address}:2376",
            engine_version=seen.looks[manager.name].version,
            health="HEALTHY",
            health_reason={f"{node.name}.Ready": "True" for node in nodes},
        )
        changed = dataclasses.replace(record, observed=observed)
        return Change(changed, also=lambda tx: _settle(tx, record, Trigger.REACHED, None))

    def failed(self, record: Cluster, reason: str) -> Change[Cluster]:
        """Node groups fail with their cluster."""
        return Change(record, also=lambda tx: _settle(tx, record, Trigger.GAVE_UP, reason))

    def removed(self, record: Cluster, tx: Transaction) -> None:
        """Give the quota back."""
        tx.quotas.give_back(record.project_id, QUOTA)

    def _groups(self, record: Cluster) -> list[NodeGroup]:
        with self.store.reading() as tx:
            return tx.nodegroups.of([record.id])[record.id]

    def _node(self, record: Cluster, machine: Machine) -> NodeAccess:
        return NodeAccess(machine.name, machine.address, machine.role, self.authorities.client(record))

    def _manager(self, record: Cluster, seen: steps.Seen) -> NodeAccess:
        """Return a manager that is a member and answers; raises Unavailable when there is none now."""
        ready = {member.name for member in seen.members if member.state == "ready"}
        for machine in seen.machines:
            if machine.role == MASTER and machine.name in ready and machine.name in seen.looks:
                return self._node(record, machine)
        raise errors.Unavailable(f"no manager of cluster {record.name} answers")

    def _make_authority(self, record: Cluster, _seen: steps.Seen, _action: object) -> Change[Cluster]:
        sealed = self.authorities.make(f"cluster {record.id}")
        return Change(dataclasses.replace(record, secrets=sealed), ("authority", "made the cluster's own CA"))

    def _make_network(self, record: Cluster, _seen: steps.Seen, _action: object) -> Change[Cluster]:
        self.machines.ensure_network(record.id)
        return Change(record, ("network", "made the cluster's own network"))

    def _add_machines(self, record: Cluster, _seen: steps.Seen, action: steps.AddMachines) -> Change[Cluster]:
        self.registry.attach(record.id)
        authority = self.authorities.authority(record)

        def create(spec: MachineSpec) -> Machine:
            def issue(address: str) -> TLSPair:
                return self.authorities.certificates.server(authority, spec.name, address)

            return self.machines.create(spec, issue)

        _parallel(create, action.specs)
        return Change(record, ("machines", action.describe()))

    def _form_cluster(self, record: Cluster, _seen: steps.Seen, action: steps.FormCluster) -> Change[Cluster]:
        self.engine.init(self._node(record, action.machine))
        return Change(record, ("formed", f"formed the cluster on {action.machine.name}"))

    def _join_machines(self, record: Cluster, seen: steps.Seen, action: steps.JoinMachines) -> Change[Cluster]:
        manager = self._manager(record, seen)
        masters = [machine for machine in action.machines if machine.role == MASTER]
        workers = [machine for machine in action.machines if machine.role != MASTER]
        for machine in masters:  # one at a time: each changes the quorum
            self.engine.join(self._node(record, machine), manager)
        _parallel(lambda machine: self.engine.join(self._node(record, machine), manager), workers)
        return Change(record, ("joined", action.describe()))

    def _forget_members(self, record: Cluster, seen: steps.Seen, action: steps.ForgetMembers) -> Change[Cluster]:
        manager = self._manager(record, seen)
        for member in action.members:
            self.engine.forget(manager, member)
        return Change(record, ("forgotten", action.describe()))

    def _drain_members(self, record: Cluster, seen: steps.Seen, action: steps.DrainMembers) -> Change[Cluster]:
        manager = self._manager(record, seen)
        for member in action.members:
            self.engine.update(manager, dataclasses.replace(member, draining=True))
        return Change(record, ("drained", action.describe()))

    def _remove_machines(self, record: Cluster, _seen: steps.Seen, action: steps.RemoveMachines) -> Change[Cluster]:
        _parallel(lambda name: self.machines.delete(record.id, name), action.names)
        return Change(record, ("removed", action.describe()))

    def _remove_network(self, record: Cluster, _seen: steps.Seen, _action: object) -> None:
        self.registry.detach(record.id)
        self.machines.delete_network(record.id)


def _settle(tx: Transaction, record: Cluster, trigger: Trigger, reason: str | None) -> None:
    """Bring a cluster's node groups to the end that its own operation came to; those that went, go."""
    for group in tx.nodegroups.of([record.id])[record.id]:
        if group.phase not in phase.IN_PROGRESS:
            continue
        after = phase.after(group.phase, trigger)
        if after is Phase.GONE:
            tx.nodegroups.delete(group.id)
        else:
            tx.nodegroups.save(dataclasses.replace(group, phase=after, status_reason=reason))


def _parallel(function: Callable[[T], V], items: Sequence[T]) -> list[V]:
    """Do the same for all items at a time; the first error is raised when all have ended."""
    if len(items) < 2:
        return [function(item) for item in items]
    with concurrent.futures.ThreadPoolExecutor(min(len(items), 8)) as pool:
        return list(pool.map(function, items))
