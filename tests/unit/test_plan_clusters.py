# SPDX-License-Identifier: Apache-2.0
"""The cluster planner against a small world, interrupted anywhere."""

from __future__ import annotations

import dataclasses

import pytest
from cluster_world import World, cluster, names, replaced, world
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.model.clusters import MASTER, Node, NodeGroup
from stackyard.model.phase import Phase
from stackyard.model.plan import Wait
from stackyard.model.plan import cluster_steps as steps
from stackyard.model.plan.clusters import plan_cluster


def made(masters: int = 1, workers: int = 2, **labels: str) -> World:
    one = world(masters, workers, **labels)
    one.settle()
    one.done.clear()
    one.cluster = dataclasses.replace(one.cluster, phase=Phase.READY)
    return one


def test_a_cluster_is_made_in_five_steps() -> None:
    one = world()
    one.settle()
    assert names(one.done) == ["MakeAuthority", "MakeNetwork", "AddMachines", "FormCluster", "JoinMachines"]
    assert (len(one.machines), len(one.members)) == (3, 3)


def test_scaling_down_drains_then_forgets_then_removes() -> None:
    one = made()
    one.resize(1)
    one.settle()
    assert names(one.done) == ["DrainMembers", "ForgetMembers", "RemoveMachines"]


def test_scaling_down_waits_for_what_moves_within_bounds() -> None:
    one = made(drain_seconds="5")
    one.tasks_stay = 100  # seconds that tasks take to end: longer than they are given
    one.resize(1)
    one.settle()
    drained, forgotten = one.times("DrainMembers"), one.times("ForgetMembers")
    assert 5 <= forgotten[0] - drained[0] < 7


def test_scaling_to_no_workers_and_managers_that_run_nothing_does_not_wait() -> None:
    one = made(workers=1, managers_run_services="false")
    one.resize(0)
    one.settle()
    assert names(one.done) == ["ForgetMembers", "RemoveMachines"]


def test_named_nodes_go_and_growing_fills_their_places() -> None:
    one = made(workers=3)
    before = dict(one.data)
    one.groups[1] = dataclasses.replace(one.groups[1], node_count=2, gaps=(1,))
    one.settle()
    assert [name.rpartition("-")[2] for name in one.workers] == ["0", "2"]
    assert all(before[name] == one.data[name] for name in one.machines)


def test_a_drained_node_that_is_wanted_again_is_activated() -> None:
    one = made()
    one.resize(1)
    one.perform(one.plan()[0])
    assert names(one.done) == ["DrainMembers"]
    one.resize(2)
    one.settle()
    assert names(one.done) == ["DrainMembers", "UpdateMembers"]
    assert not any(member.draining for member in one.members.values())


def test_a_machine_that_vanished_is_made_again_under_its_name() -> None:
    one = made()
    one.vanish(one.workers[0])
    one.settle()
    assert names(one.done) == ["AddMachines", "ForgetMembers", "JoinMachines"]


def test_a_machine_that_stopped_is_started_and_stays_the_member_that_it_was() -> None:
    one = made()
    before = one.members[one.workers[0]]
    one.stop(one.workers[0])
    one.settle()
    assert names(one.done) == ["AddMachines"]
    assert one.members[one.workers[0]].id == before.id


def test_a_member_that_its_managers_never_see_again_joins_anew() -> None:
    one = made()
    one.unseen.add(one.workers[0])
    assert isinstance(one.plan()[0], Wait)
    one.stuck.add(one.workers[0])
    one.settle()
    assert names(one.done) == ["ForgetMembers", "JoinMachines"]


def test_an_engine_that_hangs_is_restarted_with_its_machine() -> None:
    one = made()
    before = dict(one.members)
    one.silent.add(one.workers[0])
    assert isinstance(one.plan()[0], Wait)
    one.stuck.add(one.workers[0])
    one.settle()
    assert names(one.done) == ["ReplaceMachines", "AddMachines"]
    assert {member.id for member in one.members.values()} == {member.id for member in before.values()}


def test_labels_of_a_group_are_set_and_those_of_users_stay() -> None:
    one = made()
    name = one.workers[0]
    one.members[name] = dataclasses.replace(one.members[name], labels={"mine": "1"})
    one.groups[1] = dataclasses.replace(one.groups[1], node_labels={"disk": "ssd"})
    one.settle()
    assert names(one.done) == ["UpdateMembers"]
    assert [dict(one.members[each].labels) for each in one.workers] == [{"mine": "1", "disk": "ssd"}, {"disk": "ssd"}]


def test_managers_that_run_nothing_stay_drained_through_an_upgrade() -> None:
    one = made(3, 1, managers_run_services="false")
    drained = [member.role for member in one.members.values() if member.draining]
    assert drained == [MASTER] * 3
    one.upgrade("next")
    one.settle()
    assert [member.role for member in one.members.values() if member.draining] == [MASTER] * 3
    assert one.images == {"next"}


@pytest.mark.parametrize(("masters", "workers", "batch"), [(1, 0, 1), (1, 3, 2), (3, 2, 5)])
def test_an_upgrade_keeps_members_and_data(masters: int, workers: int, batch: int) -> None:
    one = made(masters, workers)
    members, data = {one.id for one in one.members.values()}, dict(one.data)
    one.upgrade("next", batch)
    one.settle()
    assert one.images == {"next"}
    assert ({each.id for each in one.members.values()}, one.data) == (members, data)
    assert not any(member.draining for member in one.members.values())
    sizes = [len(names) for names in replaced(one.done)]
    assert sizes[:masters] == [1] * masters
    assert sum(sizes) == masters + workers
    assert max(sizes) <= max(batch, 1)


def test_masters_are_replaced_before_workers_and_the_leader_last_of_them() -> None:
    one = made(3, 1)
    leader = next(member.name for member in one.members.values() if member.leader)
    one.upgrade("next")
    one.settle()
    order = [name for each in replaced(one.done) for name in each]
    assert order[2] == leader
    assert [one.machines[name].role for name in order] == [MASTER] * 3 + ["worker"]


def test_a_node_alone_is_not_drained_for_its_tasks_could_go_nowhere() -> None:
    one = made(1, 0)
    one.upgrade("next")
    one.settle()
    assert names(one.done) == ["ReplaceMachines", "AddMachines"]


def test_rotation_makes_an_authority_and_gives_it_to_every_node() -> None:
    one = made(3, 2)
    one.cluster = dataclasses.replace(one.cluster, phase=Phase.UPDATING, authority=2, trusted_from=1)
    one.settle()
    assert names(one.done)[0] == "MakeAuthority"
    assert {machine.trust for machine in one.machines.values()} == {"1..2"}


def test_two_rotations_in_one_make_both_authorities() -> None:
    one = made(1, 0)
    one.cluster = dataclasses.replace(one.cluster, phase=Phase.UPDATING, authority=3, trusted_from=3)
    one.settle()
    assert names(one.done)[:2] == ["MakeAuthority", "MakeAuthority"]


def test_the_next_batch_waits_for_the_last_to_be_ready_again() -> None:
    one = made(1, 3)
    one.upgrade("next")
    one.broken_images.add("next")
    for _ in range(60):
        if plan := one.plan():
            one.perform(plan[0])
    assert len({name for each in replaced(one.done) for name in each}) == 1
    assert sum(machine.image == "node" for machine in one.machines.values()) == 3


def test_nodes_that_a_broken_image_killed_are_not_revived_but_get_the_next_image() -> None:
    one = made(1, 2)
    one.upgrade("bad", batch=2)
    one.broken_images.add("bad")
    for _ in range(60):
        if plan := one.plan():
            one.perform(plan[0])
    one.upgrade("good", batch=2)
    one.settle()
    assert one.images == {"good"}


def test_a_quorum_lost_for_good_is_recovered_from_what_is_left() -> None:
    one = made(3, 1)
    survivor, *dead = one.masters
    for name in dead:
        one.vanish(name)
    one.settle()
    assert names(one.done)[:2] == ["AddMachines", "RecoverCluster"]
    assert one.members[survivor].leader
    assert len(one.members) == 4


def test_a_quorum_lost_for_a_while_is_waited_for() -> None:
    one = made(3, 0)
    for name in one.masters[:2]:
        one.stop(name)
    one.settle()
    assert names(one.done) == ["AddMachines"]


def test_one_manager_that_does_not_answer_for_its_cluster_is_waited_for() -> None:
    one = made(1, 1)
    one.leaderless = True
    plan = one.plan()
    assert isinstance(plan[0], Wait)
    assert plan[0].describe() == "the swarm does not have a leader"


def test_a_manager_that_lost_everything_forms_a_cluster_that_its_workers_join() -> None:
    one = made(1, 2)
    one.vanish(one.masters[0])
    one.settle()
    assert names(one.done) == ["AddMachines", "FormCluster", "JoinMachines"]


def test_a_manager_that_nobody_asked_for_leaves_without_breaking_the_quorum() -> None:
    one = made(3, 0)
    one.groups[0] = dataclasses.replace(one.groups[0], node_count=1)
    one.settle()
    assert [len(step.members) for step in one.done if isinstance(step, steps.ForgetMembers)] == [1, 1]
    assert one.quorum


def test_a_manager_that_nobody_asked_for_stays_while_the_quorum_needs_it() -> None:
    one = made(5, 0)
    one.groups[0] = dataclasses.replace(one.groups[0], node_count=3)
    wanted = [name for name in one.masters if name[-1] in "012"]
    one.unseen.update(wanted[:2])
    for _ in range(12):
        action = one.plan()[0]
        assert isinstance(action, steps.DrainMembers | Wait), action
        one.perform(action)
    one.unseen.clear()
    one.settle()
    assert len(one.masters) == len(one.members) == 3


def test_a_node_that_is_dead_and_not_wanted_is_forgotten_without_ado() -> None:
    one = made()
    one.stop(one.workers[1])
    one.resize(1)
    one.settle()
    assert names(one.done) == ["ForgetMembers", "RemoveMachines"]


def test_what_is_drained_already_is_replaced_first() -> None:
    one = made(1, 3)
    one.upgrade("next")
    last = one.workers[2]
    one.members[last] = dataclasses.replace(one.members[last], draining=True)
    one.settle()
    assert replaced(one.done)[1] == (last,)


def test_a_worker_that_was_promoted_by_hand_becomes_a_worker_again() -> None:
    one = made(1, 2)
    name = one.workers[0]
    one.members[name] = dataclasses.replace(one.members[name], role=MASTER)
    one.settle()
    assert names(one.done) == ["JoinMachines"]
    assert one.members[name].role == "worker"


class TestHealingOff:
    def test_what_died_is_only_reported(self) -> None:
        one = made(1, 2, auto_healing_enabled="false")
        first, second = one.workers
        one.vanish(first)
        one.stop(second)
        assert one.plan() == []

    def test_growing_makes_what_is_new_and_leaves_what_died(self) -> None:
        one = made(1, 2, auto_healing_enabled="false")
        dead = one.workers[0]
        one.stop(dead)
        one.resize(3)
        one.settle()
        assert one.machines[dead].state == "stopped"
        assert len(one.workers) == 3

    def test_an_upgrade_gives_new_machines_to_all_and_to_the_dead(self) -> None:
        one = made(1, 2, auto_healing_enabled="false")
        one.stop(one.workers[0])
        one.upgrade("next")
        one.settle()
        assert one.images == {"next"}

    def test_an_upgrade_goes_no_further_when_a_node_dies_on_the_way(self) -> None:
        one = made(1, 3, auto_healing_enabled="false")
        one.upgrade("next")
        while not (upgraded := [name for name in one.workers if one.machines[name].image == "next"]):
            one.perform(one.plan()[0])
        while not one.all_ready:
            one.perform(one.plan()[0])
        one.observe()
        one.stop(upgraded[0])
        for _ in range(5):
            (action,) = one.plan()
            assert isinstance(action, Wait)
            one.perform(action)
        assert action.describe() == f"waiting for {upgraded[0]} before the next is replaced"


def test_deleting_leaves_nothing_whatever_was_there() -> None:
    for done in range(6):
        one = world()
        for _ in range(done):
            if plan := one.plan():
                one.perform(plan[0])
        one.cluster = dataclasses.replace(one.cluster, phase=Phase.DELETING)
        one.settle()
        assert (one.machines, one.network) == ({}, False)


def test_deleting_removes_data_of_machines_that_are_gone() -> None:
    one = made()
    one.die(one.workers[0], "lose")
    one.cluster = dataclasses.replace(one.cluster, phase=Phase.DELETE_FAILED)
    one.silent |= one.machines.keys()
    one.settle()
    assert (one.machines, one.data, one.network) == ({}, {}, False)


def test_data_of_a_machine_that_nobody_wants_any_more_goes() -> None:
    one = made()
    gone = one.workers[1]
    one.die(gone, "lose")
    one.resize(1)
    one.settle()
    assert gone not in one.machines
    assert gone not in one.data


def test_what_cannot_be_seen_is_waited_for() -> None:
    plan = plan_cluster(cluster(), [], steps.Seen(blind="the Engine does not answer"))
    assert plan == [Wait("the Engine does not answer", 1.0, nudged=True)]


def test_a_machine_without_a_word_on_its_image_is_not_replaced() -> None:
    one = made()
    name = one.workers[0]
    one.machines[name] = dataclasses.replace(one.machines[name], image="")
    assert one.plan() == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.data())
def test_any_sequence_of_sizes_converges(sizes: list[int], data: st.DataObject) -> None:
    one = world(workers=sizes[0])
    for size in sizes:
        one.resize(size)
        for _ in range(data.draw(st.integers(0, 5))):
            if plan := one.plan():
                one.perform(plan[0])
        one.settle()
        assert len(one.machines) == len(one.members) == 1 + size


@settings(deadline=None, max_examples=80)
@given(
    masters=st.sampled_from([1, 3, 5]),
    workers=st.integers(0, 4),
    batch=st.integers(1, 3),
    rotate=st.booleans(),
    deaths=st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 8), st.sampled_from(["stop", "vanish", "lose"])), max_size=3
    ),
)
def test_rolls_survive_deaths_and_never_break_what_lives(
    masters: int, workers: int, batch: int, rotate: bool, deaths: list[tuple[int, int, str]]
) -> None:
    """`World.perform` checks each step: no quorum lost by our own doing, no more than a batch out, none too early."""
    one = made(masters, workers)
    if rotate:
        one.cluster = dataclasses.replace(one.cluster, phase=Phase.UPDATING, authority=2, batch_size=batch)
    else:
        one.upgrade("next", batch)
    for after, which, how in deaths:
        for _ in range(after):
            if plan := one.plan():
                one.perform(plan[0])
        if one.machines:
            one.die(sorted(one.machines)[which % len(one.machines)], how)
    one.settle(400)
    assert one.all_ready
    assert one.images == ({"node"} if rotate else {"next"})
    assert {machine.trust for machine in one.machines.values()} == {one.cluster.trust}
    assert (len(one.masters), len(one.workers)) == (masters, workers)


def test_a_group_that_goes_takes_its_nodes_with_it() -> None:
    one = made()
    one.groups.append(NodeGroup(cluster_id=one.cluster.id, project_id="p", name="more", node_count=2, image_id="node"))
    one.settle()
    assert len(one.members) == 5
    one.groups[2] = dataclasses.replace(one.groups[2], phase=Phase.DELETING)
    one.settle()
    assert len(one.members) == len(one.machines) == 3


def test_a_node_that_was_once_a_member_is_known_by_what_was_observed() -> None:
    one = made()
    assert all(isinstance(node, Node) and node.member_id for node in one.cluster.observed.nodes)
