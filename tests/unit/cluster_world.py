# SPDX-License-Identifier: Apache-2.0
"""A small world of machines and managers for the cluster planner: it does what the plan says, and checks each step."""

from __future__ import annotations

import dataclasses
import itertools

from stackyard.model import health
from stackyard.model.clusters import MASTER, Cluster, NodeGroup
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import cluster_steps as steps
from stackyard.model.plan.clusters import plan_cluster
from stackyard.model.ports import Look, Machine, Member


def cluster(**values: object) -> Cluster:
    kept: dict[str, object] = {"project_id": "p", "name": "c", "user_id": "u", "template_id": "t", "coe": "swarm"}
    return Cluster(**{**kept, **values})  # type: ignore[arg-type]


@dataclasses.dataclass
class World:
    """Machines, the data on them, and members, which are the data's: a machine made anew is blank."""

    cluster: Cluster
    groups: list[NodeGroup]
    network: bool = False
    machines: dict[str, Machine] = dataclasses.field(default_factory=dict)
    data: dict[str, int] = dataclasses.field(default_factory=dict)
    members: dict[str, Member] = dataclasses.field(default_factory=dict)
    homes: dict[str, int] = dataclasses.field(default_factory=dict)
    formed: int = 0
    done: list[Action] = dataclasses.field(default_factory=list)
    log: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    now: float = 0
    settled: dict[str, float] = dataclasses.field(default_factory=dict)
    tasks_stay: float = 2
    silent: set[str] = dataclasses.field(default_factory=set)
    unseen: set[str] = dataclasses.field(default_factory=set)
    stuck: set[str] = dataclasses.field(default_factory=set)
    broken_images: set[str] = dataclasses.field(default_factory=set)
    leaderless: bool = False
    count: itertools.count[int] = dataclasses.field(default_factory=lambda: itertools.count(1))

    # --- what is there ---

    @property
    def masters(self) -> list[str]:
        return sorted(name for name, machine in self.machines.items() if machine.role == MASTER)

    @property
    def workers(self) -> list[str]:
        return sorted(name for name, machine in self.machines.items() if machine.role != MASTER)

    @property
    def images(self) -> set[str]:
        return {machine.image for machine in self.machines.values()}

    def alive(self, name: str) -> bool:
        """Tell whether the member's own data runs."""
        running = name in self.machines and self.machines[name].state == "running" and name not in self.silent
        return running and self.homes.get(name) == self.data.get(name) and name not in self.unseen

    @property
    def voters(self) -> list[str]:
        return [name for name, member in self.members.items() if member.role == MASTER]

    @property
    def quorum(self) -> bool:
        return 2 * sum(self.alive(name) for name in self.voters) > len(self.voters)

    @property
    def all_ready(self) -> bool:
        return bool(self.members) and all(self.alive(name) for name in self.machines)

    # --- what happens ---

    def resize(self, count: int) -> None:
        self.cluster = dataclasses.replace(self.cluster, phase=Phase.UPDATING)
        self.groups[1] = dataclasses.replace(self.groups[1], node_count=count)

    def upgrade(self, image: str, batch: int = 1) -> None:
        self.cluster = dataclasses.replace(self.cluster, phase=Phase.UPDATING, batch_size=batch)
        self.groups = [dataclasses.replace(group, image_id=image) for group in self.groups]

    def stop(self, name: str) -> None:
        self.machines[name] = dataclasses.replace(self.machines[name], state="stopped")

    def vanish(self, name: str) -> None:
        """Let the machine go with its data."""
        del self.machines[name]
        del self.data[name]

    def die(self, name: str, how: str) -> None:
        if how == "vanish":
            self.data.pop(name, None)
            del self.machines[name]
        elif how == "lose":  # the container is gone, its data is left
            self.machines[name] = dataclasses.replace(self.machines[name], state="absent")
        elif self.machines[name].state == "running":
            self.stop(name)

    # --- the loop ---

    def seen(self) -> steps.Seen:
        running = [one for one in self.machines.values() if one.state == "running" and one.name not in self.silent]
        looks = {one.name: self._look(one.name) for one in running}
        asked = any(look.manages for look in looks.values())
        led = asked and self.quorum and not self.leaderless
        members = tuple(self._member(name) for name in sorted(self.members)) if led else ()
        api = "" if members else "the swarm does not have a leader"
        return steps.Seen(
            self.network, tuple(self.machines.values()), looks, members, api=api, stuck=frozenset(self.stuck)
        )

    def _look(self, name: str) -> Look:
        member = name in self.members and self.homes.get(name) == self.data.get(name)
        return Look("20.10", member, member and self.members[name].role == MASTER)

    def _member(self, name: str) -> Member:
        age = self.now - self.settled.get(name, 0)
        member = self.members[name]
        tasks = 0 if member.draining and age >= self.tasks_stay else 3
        state = "ready" if self.alive(name) else "down"
        leader = name == next((each for each in sorted(self.voters) if self.alive(each)), None)
        return dataclasses.replace(member, state=state, tasks=tasks, settled_seconds=age, leader=leader)

    def observe(self) -> None:
        """Keep what is observed, as the worker does at each look."""
        noted = health.noted(self.cluster, self.groups, self.seen())
        self.cluster = dataclasses.replace(self.cluster, observed=noted)

    def plan(self) -> list[Action]:
        plan = plan_cluster(self.cluster, self.groups, self.seen())
        if self.cluster.phase is not Phase.DELETING:
            self.observe()
        return plan

    def settle(self, looks: int = 120) -> None:
        for _ in range(looks):
            plan = self.plan()
            if not plan:
                self.members = {name: self._member(name) for name in self.members}
                return
            self.perform(plan[0])
        raise AssertionError(f"no end: {self.log[-5:]}, {plan}")

    def times(self, step: str) -> list[float]:
        return [at for at, name in self.log if name == step]

    def perform(self, action: Action) -> None:
        self.log.append((self.now, type(action).__name__))
        if isinstance(action, Wait):
            self.now += 0.5
            return
        self.now += 0.1
        self.done.append(action)
        before = self.quorum
        self._check(action)
        getattr(self, f"_{type(action).__name__}")(action)
        # Only the managers of one that has but one may be away for a moment.
        if before and isinstance(action, steps.ForgetMembers | steps.DrainMembers | steps.ReplaceMachines):
            assert self.quorum or len(self.voters) == 1, action

    def _check(self, action: Action) -> None:
        if not isinstance(action, steps.ReplaceMachines):
            return
        living = [name for name in action.names if self.alive(name)]
        if not living:
            return
        assert self.all_ready or set(action.names) <= self.stuck, f"{action} while others are out"
        masters = [name for name in living if self.machines[name].role == MASTER]
        assert len(masters) <= 1
        assert len(living) <= (1 if masters else self.cluster.batch_size)
        if self.others_than(living):
            assert all(self.members[name].draining for name in living), "what runs there was not moved"

    def others_than(self, names: list[str]) -> list[str]:
        return [name for name, one in self.members.items() if name not in names and not one.draining]

    def _MakeAuthority(self, _: Action) -> None:  # noqa: N802
        observed = dataclasses.replace(self.cluster.observed, authority=self.cluster.observed.authority + 1)
        self.cluster = dataclasses.replace(self.cluster, secrets="sealed", observed=observed)

    def _MakeNetwork(self, _: Action) -> None:  # noqa: N802
        self.network = True

    def _AddMachines(self, action: steps.AddMachines) -> None:  # noqa: N802
        for spec in action.specs:
            found = self.machines.get(spec.name)
            made = Machine(
                spec.name, "c", spec.group_id, spec.role, "10.0.0.1", "running", image=spec.image, trust=spec.trust
            )
            self.data.setdefault(spec.name, next(self.count))
            self.machines[spec.name] = (
                made if found is None or found.state == "absent" else dataclasses.replace(found, state="running")
            )
            if spec.image in self.broken_images:
                self.stop(spec.name)

    def _ReplaceMachines(self, action: steps.ReplaceMachines) -> None:  # noqa: N802
        for name in action.names:
            self.machines[name] = dataclasses.replace(self.machines[name], state="absent")
        self.silent -= set(action.names)
        self.stuck -= set(action.names)

    def _FormCluster(self, action: steps.FormCluster) -> None:  # noqa: N802
        assert not any(self._look(name).member for name in self.masters), "a cluster was torn apart"
        self.members = {}
        self._join(action.machine)

    def _RecoverCluster(self, action: steps.RecoverCluster) -> None:  # noqa: N802
        assert not self.quorum
        assert self._look(action.machine.name).member
        for name in self.voters:
            if name != action.machine.name:
                del self.members[name]

    def _JoinMachines(self, action: steps.JoinMachines) -> None:  # noqa: N802
        for machine in action.machines:
            self._join(machine)

    def _join(self, machine: Machine) -> None:
        if self.alive(machine.name) and machine.name in self.members:
            self.members[machine.name] = dataclasses.replace(self.members[machine.name], role=machine.role)
            return
        ident = f"id{next(self.count)}"
        self.members[machine.name] = Member(ident, machine.name, machine.role, "ready", machine.address)
        self.homes[machine.name] = self.data[machine.name]
        self.settled[machine.name] = self.now
        self.unseen.discard(machine.name)
        self.stuck.discard(machine.name)

    def _DrainMembers(self, action: steps.DrainMembers) -> None:  # noqa: N802
        self._set(tuple(dataclasses.replace(member, draining=True) for member in action.members))

    def _UpdateMembers(self, action: steps.UpdateMembers) -> None:  # noqa: N802
        self._set(action.members)

    def _set(self, members: tuple[Member, ...]) -> None:
        for member in members:
            self.members[member.name] = member
            self.settled[member.name] = self.now

    def _ForgetMembers(self, action: steps.ForgetMembers) -> None:  # noqa: N802
        for member in action.members:
            del self.members[member.name]

    def _RemoveMachines(self, action: steps.RemoveMachines) -> None:  # noqa: N802
        for name in action.names:
            del self.machines[name]
            self.data.pop(name, None)

    def _RemoveNetwork(self, _: Action) -> None:  # noqa: N802
        assert not self.machines
        self.network = False


def world(masters: int = 1, workers: int = 2, **labels: str) -> World:
    record = cluster(labels=labels)
    groups = [
        NodeGroup(cluster_id=record.id, project_id="p", name="default-master", role=MASTER, node_count=masters),
        NodeGroup(cluster_id=record.id, project_id="p", name="default-worker", node_count=workers),
    ]
    return World(record, [dataclasses.replace(group, image_id="node") for group in groups])


def names(actions: list[Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def replaced(actions: list[Action]) -> list[tuple[str, ...]]:
    return [action.names for action in actions if isinstance(action, steps.ReplaceMachines)]
