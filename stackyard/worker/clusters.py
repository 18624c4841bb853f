# SPDX-License-Identifier: Apache-2.0
"""Clusters: gathers what is seen of machines and engine, notes it, and maps the planner's actions to ports."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.model import errors, health, phase
from stackyard.model.clusters import MASTER, Cluster, NodeGroup
from stackyard.model.phase import ENDING, Phase, Trigger
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import cluster_steps as steps
from stackyard.model.plan.clusters import plan_cluster
from stackyard.model.ports import Engine, Look, Machine, Machines, MachineSpec, Member, NodeAccess, Registry, TLSPair
from stackyard.store import Store, Transaction
from stackyard.store.clusters import Clusters as Rows
from stackyard.worker.patience import Patience
from stackyard.worker.reconciler import Change, Passive

T = TypeVar("T")
V = TypeVar("V")
QUOTA = "Cluster"
SILENT_SECONDS = 180.0
"""A machine that runs, whose engine does not answer for so long, hangs; a busy host's engines take a minute."""
DOWN_SECONDS = 20.0
"""A member whose engine answers, and that its managers still don't see after this, has to join anew."""
TOLD_NODES = 10


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
        self.patience = Patience()
        self.actions: dict[type[Action], Callable[..., Change[Cluster] | None]] = {
            steps.MakeAuthority: self._make_authority,
            steps.MakeNetwork: self._make_network,
            steps.AddMachines: self._add_machines,
            steps.ReplaceMachines: self._replace_machines,
            steps.FormCluster: self._form_cluster,
            steps.RecoverCluster: self._recover_cluster,
            steps.JoinMachines: self._join_machines,
            steps.ForgetMembers: self._forget_members,
            steps.DrainMembers: self._drain_members,
            steps.UpdateMembers: self._update_members,
            steps.RemoveMachines: self._remove_machines,
            steps.RemoveNetwork: self._remove_network,
        }

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of clusters."""
        return tx.clusters

    def observe(self, record: Cluster) -> steps.Seen:
        """Look at network and machines, then at the engines, all at a time, then at the members."""
        try:
            network = self.machines.has_network(record.id)
            machines = tuple(self.machines.list(record.id))
        except errors.Unavailable as reason:
            return steps.Seen(blind=str(reason))
        if record.secrets is None or record.phase in ENDING:
            return steps.Seen(network, machines)
        running = [machine for machine in machines if machine.state == "running"]
        found = dict(zip((one.name for one in running), _parallel(self._looker(record), running), strict=True))
        looks = {name: look for name, look in found.items() if isinstance(look, Look)}
        faults = {name: reason for name, reason in found.items() if isinstance(reason, str)}
        members, api = self._members(record, machines, looks)
        stuck = self._stuck(record, running, looks, members)
        return steps.Seen(network, machines, looks, members, faults, api, stuck)

    def _looker(self, record: Cluster) -> Callable[[Machine], Look | str]:
        """Return what gives a machine's look, or why there is none: one bad node must not hide all the others."""

        def look(machine: Machine) -> Look | str:
            try:
                return self.engine.look(self._node(record, machine)) or "its engine does not answer"
            except (errors.Unavailable, errors.Conflict) as reason:
                return str(reason)

        return look

    def _members(
        self, record: Cluster, machines: Sequence[Machine], looks: Mapping[str, Look]
    ) -> tuple[tuple[Member, ...], str]:
        """Return the members as the first manager that can tell sees them, or none and why."""
        managers = [one for one in machines if one.role == MASTER and one.name in looks and looks[one.name].member]
        # One without a complaint is asked first; the others, who may take long to say no, only if need be.
        managers.sort(key=lambda machine: bool(looks[machine.name].error))
        told = [self._asked(record, machine) for machine in managers[:1]]
        if told and not told[0][0]:
            told += _parallel(lambda machine: self._asked(record, machine), managers[1:])
        members = next((members for members, _ in told if members), ())
        return members, "" if members else next((reason for _, reason in told if reason), "")

    def _asked(self, record: Cluster, machine: Machine) -> tuple[tuple[Member, ...], str]:
        try:
            return tuple(self.engine.members(self._node(record, machine))), ""
        except errors.Unavailable as error:
            return (), str(error)

    def _stuck(
        self, record: Cluster, running: Sequence[Machine], looks: Mapping[str, Look], members: Sequence[Member]
    ) -> frozenset[str]:
        silent = {machine.name for machine in running} - looks.keys()
        down = {member.name for member in members if member.state != "ready"} & looks.keys()
        hung = self.patience.lasting("silent", record.id, silent, SILENT_SECONDS)
        return hung | self.patience.lasting("down", record.id, down, DOWN_SECONDS)

    def plan(self, record: Cluster, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return plan_cluster(record, self._groups(record), seen)

    def act(self, action: Action, record: Cluster, seen: steps.Seen) -> Change[Cluster] | None:
        """Perform one action."""
        return self.actions[type(action)](record, seen, action)

    def note(self, record: Cluster, seen: steps.Seen, plan: Sequence[Action]) -> Change[Cluster]:
        """Note nodes, health and what is being done; where nodes changed, what runs on them is looked at again."""
        told = plan[0].describe() if plan and record.phase in phase.IN_PROGRESS else record.status_reason
        if record.phase in ENDING:
            return Change(dataclasses.replace(record, status_reason=told))
        observed = health.noted(record, self._groups(record), seen)
        moved = _states(record) != _states(dataclasses.replace(record, observed=observed))
        noted = dataclasses.replace(record, status_reason=told, observed=observed)
        return Change(noted, also=(lambda tx: tx.clusters.hasten_deployments(record.id)) if moved else None)

    def glance(self, record: Cluster) -> Change[Cluster]:
        """Keep the health of a cluster that failed up to date, and leave all else to who retries."""
        return self.note(record, self.observe(record), ())

    def reached(self, record: Cluster, seen: steps.Seen) -> Change[Cluster]:
        """Note what an upgrade or a rotation came to; node groups follow."""
        if record.phase is Phase.READY:
            return Change(record)

        def settle(tx: Transaction) -> None:
            _settle(tx, record)
            if record.upgrade_to:
                tx.clusters.upgraded(record)

        return Change(dataclasses.replace(record, secrets=self.authorities.prune(record)), also=settle)

    def failed(self, record: Cluster, reason: str) -> Change[Cluster]:
        """Those node groups fail with their cluster that are not as wanted; the others are done."""
        return Change(record, also=lambda tx: _fail(tx, record, reason))

    def wait(self, record: Cluster, action: Wait) -> None:
        """Sleep; while tasks move, have applications look where theirs are, so that requests follow them."""
        if isinstance(action, steps.MoveTasks):
            with self.store.transaction() as tx:
                tx.clusters.hasten_deployments(record.id)
        super().wait(record, action)

    def removed(self, record: Cluster, tx: Transaction) -> None:
        """Give the quota back."""
        tx.quotas.give_back(record.project_id, QUOTA)

    def _groups(self, record: Cluster) -> list[NodeGroup]:
        with self.store.reading() as tx:
            return tx.nodegroups.of([record.id])[record.id]

    def _node(self, record: Cluster, machine: Machine) -> NodeAccess:
        tls = self.authorities.client_for(record, machine.trust)
        return NodeAccess(machine.name, machine.address, machine.role, tls)

    def _manager(self, record: Cluster, seen: steps.Seen) -> NodeAccess:
        """Return a manager that is a member and answers; raises Unavailable when there is none now."""
        ready = {member.name for member in seen.members if member.state == "ready" and member.role == MASTER}
        for machine in seen.machines:
            if machine.name in ready and machine.name in seen.looks and seen.looks[machine.name].manages:
                return self._node(record, machine)
        raise errors.Unavailable(f"no manager of cluster {record.name} answers")

    def _make_authority(self, record: Cluster, _seen: steps.Seen, _action: object) -> Change[Cluster]:
        made = self.authorities.newest(record)
        if made <= record.observed.authority:
            record = dataclasses.replace(record, secrets=self.authorities.make_next(record))
            made = self.authorities.newest(record)
        observed = dataclasses.replace(record.observed, authority=made)
        return Change(dataclasses.replace(record, observed=observed), ("authority", f"made the cluster's CA {made}"))

    def _make_network(self, record: Cluster, _seen: steps.Seen, _action: object) -> Change[Cluster]:
        self.machines.ensure_network(record.id)
        return Change(record, ("network", "made the cluster's own network"))

    def _add_machines(self, record: Cluster, _seen: steps.Seen, action: steps.AddMachines) -> Change[Cluster]:
        self.registry.attach(record.id)

        def create(spec: MachineSpec) -> Machine:
            def issue(address: str) -> TLSPair:
                return self.authorities.issue(record, spec.name, address, spec.trust)

            return self.machines.create(spec, issue)

        _parallel(create, action.specs)
        return Change(record, ("machines", action.describe()))

    def _replace_machines(self, record: Cluster, _seen: steps.Seen, action: steps.ReplaceMachines) -> Change[Cluster]:
        _parallel(lambda name: self.machines.delete(record.id, name, keep_data=True), action.names)
        return Change(record, ("replaced", action.describe()))

    def _form_cluster(self, record: Cluster, _seen: steps.Seen, action: steps.FormCluster) -> Change[Cluster]:
        self.engine.init(self._node(record, action.machine))
        return Change(record, ("formed", f"formed the cluster on {action.machine.name}"))

    def _recover_cluster(self, record: Cluster, _seen: steps.Seen, action: steps.RecoverCluster) -> Change[Cluster]:
        self.engine.recover(self._node(record, action.machine))
        return Change(record, ("recovered", f"most managers lost their data; went on with {action.machine.name}"))

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

    def _update_members(self, record: Cluster, seen: steps.Seen, action: steps.UpdateMembers) -> Change[Cluster]:
        manager = self._manager(record, seen)
        for member in action.members:
            self.engine.update(manager, member)
        return Change(record, ("set_up", action.describe()))

    def _remove_machines(self, record: Cluster, _seen: steps.Seen, action: steps.RemoveMachines) -> Change[Cluster]:
        _parallel(lambda name: self.machines.delete(record.id, name), action.names)
        return Change(record, ("removed", action.describe()))

    def _remove_network(self, record: Cluster, _seen: steps.Seen, _action: object) -> None:
        self.registry.detach(record.id)
        self.machines.delete_network(record.id)


def _states(record: Cluster) -> list[tuple[str, str]]:
    return [(node.name, node.state) for node in record.observed.nodes]


def _settle(tx: Transaction, record: Cluster) -> None:
    """All is as wanted: node groups are ready, whatever they were, and those that were to go are gone."""
    for group in tx.nodegroups.of([record.id])[record.id]:
        if group.phase in ENDING:
            tx.nodegroups.delete(group.id)
        elif (group.phase, group.status_reason) != (Phase.READY, None):
            tx.nodegroups.save(dataclasses.replace(group, phase=Phase.READY, status_reason=None))


def _fail(tx: Transaction, record: Cluster, reason: str) -> None:
    """Tell each node group what became of it, by the nodes that were last observed."""
    if record.phase in ENDING:
        return  # its groups go with it, however late
    for group in tx.nodegroups.of([record.id])[record.id]:
        faults = health.faults(record, group)
        told = _told(faults, reason) or None
        after = group.phase
        if group.phase in phase.IN_PROGRESS:
            after = phase.after(group.phase, Trigger.GAVE_UP if faults else Trigger.REACHED)
        if after is Phase.GONE:
            tx.nodegroups.delete(group.id)
        elif (after, told) != (group.phase, group.status_reason):
            tx.nodegroups.save(dataclasses.replace(group, phase=after, status_reason=told))


def _told(faults: Mapping[str, str], reason: str) -> str:
    """Return why nodes are not as wanted: what failed where it names the node, else what was seen of it."""
    first = itertools.islice(sorted(faults.items()), TOLD_NODES)
    return "; ".join(f"{name}: {reason if name in reason else why}" for name, why in first)


def _parallel(function: Callable[[T], V], items: Sequence[T]) -> list[V]:
    """Do the same for all items at a time; the first error is raised when all have ended."""
    if len(items) < 2:
        return [function(item) for item in items]
    with concurrent.futures.ThreadPoolExecutor(min(len(items), 8)) as pool:
        return list(pool.map(function, items))
