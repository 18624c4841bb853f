# SPDX-License-Identifier: Apache-2.0
"""The cluster planner against a small world, interrupted anywhere."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from stackyard.model.clusters import MASTER, Cluster, NodeGroup
from stackyard.model.phase import Phase
from stackyard.model.plan import Action
from stackyard.model.plan import clusters as steps
from stackyard.model.ports import Look, Machine, Member


def cluster(**values: object) -> Cluster:
    kept: dict[str, object] = {"project_id": "p", "name": "c", "user_id": "u", "template_id": "t", "coe": "swarm"}
    return Cluster(**{**kept, **values})  # type: ignore[arg-type]


@dataclasses.dataclass
class World:
    """Machines and members that do what the plan says."""

    cluster: Cluster
    groups: list[NodeGroup]
    network: bool = False
    machines: dict[str, Machine] = dataclasses.field(default_factory=dict)
    members: dict[str, Member] = dataclasses.field(default_factory=dict)
    done: list[Action] = dataclasses.field(default_factory=list)

    def plan(self) -> list[Action]:
        looks = {name: Look("20.10") for name, machine in self.machines.items() if machine.state == "running"}
        members = tuple(self.members.values()) if any(self._is_master(name) for name in looks) else ()
        seen = steps.Seen(self.network, tuple(self.machines.values()), looks, members)
        return steps.plan_cluster(self.cluster, self.groups, seen)

    def _is_master(self, name: str) -> bool:
        return name in self.members and self.machines[name].role == MASTER

    def settle(self, looks: int = 40) -> None:
        for _ in range(looks):
            plan = self.plan()
            if not plan:
                return
            self.perform(plan[0])
        raise AssertionError(f"no end: {self.done[-5:]}")

    def perform(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case steps.MakeAuthority():
                self.cluster = dataclasses.replace(self.cluster, secrets="sealed")
            case steps.MakeNetwork():
                self.network = True
            case steps.AddMachines(specs=specs):
                for spec in specs:
                    self.machines[spec.name] = Machine(spec.name, "c", spec.group_id, spec.role, "10.0.0.1", "running")
            case steps.FormCluster(machine=machine):
                self.members[machine.name] = self._member(machine)
            case steps.JoinMachines(machines=machines):
                self.members |= {machine.name: self._member(machine) for machine in machines}
            case steps.DrainMembers(members=members):
                self.members |= {one.name: dataclasses.replace(one, draining=True) for one in members}
            case steps.ForgetMembers(members=members):
                for one in members:
                    del self.members[one.name]
            case steps.RemoveMachines(names=names):
                for name in names:
                    del self.machines[name]
            case steps.RemoveNetwork():
                assert not self.machines
                self.network = False

    def _member(self, machine: Machine) -> Member:
        return Member(f"id-{machine.name}", machine.name, machine.role, "ready", machine.address)


def world(masters: int = 1, workers: int = 2) -> World:
    record = cluster()
    groups = [
        NodeGroup(cluster_id=record.id, project_id="p", name="default-master", role=MASTER, node_count=masters),
        NodeGroup(cluster_id=record.id, project_id="p", name="default-worker", node_count=workers),
    ]
    return World(record, groups)


def names(actions: list[Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def test_a_cluster_is_made_in_five_steps() -> None:
    one = world()
    one.settle()
    assert names(one.done) == ["MakeAuthority", "MakeNetwork", "AddMachines", "FormCluster", "JoinMachines"]
    assert (len(one.machines), len(one.members)) == (3, 3)


def test_scaling_down_drains_then_forgets_then_removes() -> None:
    one = world()
    one.settle()
    one.done.clear()
    one.groups[1] = dataclasses.replace(one.groups[1], node_count=1)
    one.settle()
    assert names(one.done) == ["DrainMembers", "ForgetMembers", "RemoveMachines"]


def test_a_machine_that_vanished_is_made_again_under_its_name() -> None:
    one = world()
    one.settle()
    name = next(name for name, machine in one.machines.items() if machine.role != MASTER)
    del one.machines[name]
    one.members[name] = dataclasses.replace(one.members[name], state="down")
    one.done.clear()
    one.settle()
    assert names(one.done) == ["AddMachines", "ForgetMembers", "JoinMachines"]


def test_deleting_leaves_nothing_whatever_was_there() -> None:
    for done in range(6):
        one = world()
        for _ in range(done):
            if plan := one.plan():
                one.perform(plan[0])
        one.cluster = dataclasses.replace(one.cluster, phase=Phase.DELETING)
        one.settle()
        assert (one.machines, one.network) == ({}, False)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_any_sequence_of_sizes_converges(sizes: list[int], data: st.DataObject) -> None:
    one = world(workers=sizes[0])
    for size in sizes:
        one.groups[1] = dataclasses.replace(one.groups[1], node_count=size)
        for _ in range(data.draw(st.integers(0, 5))):
            if plan := one.plan():
                one.perform(plan[0])
        one.settle()
        assert len(one.machines) == len(one.members) == 1 + size
