# SPDX-License-Identifier: Apache-2.0
"""The contract of the port Engine, for the fake and for Docker Swarm."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Iterator

import nodes_rig as rig
import pytest

from stackyard.model import errors
from stackyard.model.ports import Member, NodeAccess


@pytest.fixture(scope="module", params=["fake", pytest.param("swarm", marks=pytest.mark.engine)])
def world(request: pytest.FixtureRequest) -> Iterator[rig.World]:
    with rig.world(request.param) as made:
        made.machines.ensure_network(made.cluster)
        yield made


@pytest.fixture(scope="module")
def nodes(world: rig.World) -> list[NodeAccess]:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        made = list(pool.map(world.create, range(3), ["master", "worker", "worker"]))
    for node in made:
        rig.until(lambda node=node: world.engine.look(node))  # type: ignore[misc]
    return made


@pytest.fixture
def formed(world: rig.World, nodes: list[NodeAccess]) -> list[NodeAccess]:
    world.engine.init(nodes[0])
    for node in nodes[1:]:
        world.engine.join(node, nodes[0])
    rig.until(lambda: [member.state for member in world.engine.members(nodes[0])] == ["ready"] * 3)
    return nodes


def settled(member: Member) -> Member:
    """Return the member as it will be later, when nothing changes."""
    return dataclasses.replace(member, settled_seconds=0)


def test_version_is_none_where_nothing_answers(world: rig.World, nodes: list[NodeAccess]) -> None:
    assert world.engine.look(nodes[0])
    absent = NodeAccess("absent", nodes[0].address.rpartition(".")[0] + ".231", "worker", rig.CLIENT)
    assert world.engine.look(absent) is None


def test_machine_in_no_cluster_has_no_members(world: rig.World, nodes: list[NodeAccess]) -> None:
    assert world.engine.members(nodes[2]) == []


def test_forms_once_and_knows_names_roles_addresses(world: rig.World, formed: list[NodeAccess]) -> None:
    before = world.engine.members(formed[0])
    world.engine.init(formed[0])
    world.engine.join(formed[1], formed[0])
    after = world.engine.members(formed[0])
    assert [settled(found) for found in after] == [settled(found) for found in before]
    assert [(found.name, found.role, found.address) for found in after] == sorted(
        (node.name, node.role, node.address) for node in formed
    )
    assert [found.name for found in after if found.leader] == [formed[0].name]
    assert world.engine.members(formed[1]) == []


def test_drain_and_forget(world: rig.World, formed: list[NodeAccess]) -> None:
    leaving = world.member(formed[0], formed[2].name)
    world.engine.update(formed[0], dataclasses.replace(leaving, draining=True))
    world.engine.update(formed[0], dataclasses.replace(leaving, draining=True))
    assert world.member(formed[0], leaving.name).draining
    world.engine.forget(formed[0], leaving)
    world.engine.forget(formed[0], leaving)
    assert leaving.name not in {found.name for found in world.engine.members(formed[0])}


def test_settings_are_told_and_their_age(world: rig.World, formed: list[NodeAccess]) -> None:
    before = world.member(formed[0], formed[2].name)
    assert (before.draining, before.labels, before.tasks) == (False, {}, 0)
    wanted = dataclasses.replace(before, draining=True, labels={"disk": "fast", "zone": ""})
    world.engine.update(formed[0], wanted)
    after = world.member(formed[0], formed[2].name)
    assert (after.draining, after.labels) == (True, wanted.labels)
    assert after.settled_seconds < 10
    rig.until(lambda: world.member(formed[0], formed[2].name).settled_seconds > 2)
    world.engine.update(formed[0], wanted)
    assert world.member(formed[0], formed[2].name).settled_seconds > 1  # nothing was changed
    world.engine.update(formed[0], before)
    back = world.member(formed[0], formed[2].name)
    assert settled(back) == settled(before)
    assert back.settled_seconds < 2


def test_forgotten_node_can_join_again(world: rig.World, formed: list[NodeAccess]) -> None:
    old = world.member(formed[0], formed[1].name)
    world.engine.forget(formed[0], old)
    rig.until(lambda: _joined(world, formed))
    assert world.member(formed[0], formed[1].name).id != old.id


def _joined(world: rig.World, formed: list[NodeAccess]) -> bool:
    world.engine.join(formed[1], formed[0])
    return world.member(formed[0], formed[1].name).state == "ready"


def test_last_manager_is_not_forgotten(world: rig.World, formed: list[NodeAccess]) -> None:
    with pytest.raises((errors.GiveUp, errors.Unavailable), match="last manager"):
        world.engine.forget(formed[0], world.member(formed[0], formed[0].name))
    assert len(world.engine.members(formed[0])) == 3


@pytest.fixture(scope="module")
def managers(world: rig.World) -> Managers:
    """Return three managers of another cluster."""
    made = rig.World(world.machines, world.engine, world.client, world.instance)
    made.machines.ensure_network(made.cluster)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        nodes = list(pool.map(made.answering, range(3), ["master"] * 3))
    made.engine.init(nodes[0])
    for node in nodes[1:]:
        made.engine.join(node, nodes[0])
    rig.until(lambda: made.states(nodes[0]) == READY)
    return made, nodes


READY = {"0": "ready", "1": "ready", "2": "ready"}
Managers = tuple[rig.World, list[NodeAccess]]


def test_manager_made_anew_with_its_data_is_the_same_member(managers: Managers) -> None:
    world, nodes = managers
    before = [(found.name, found.id) for found in world.engine.members(nodes[0])]
    world.machines.delete(world.cluster, nodes[1].name, keep_data=True)
    rig.until(lambda: world.states(nodes[0])["1"] != "ready")
    world.answering(1, "master")
    rig.until(lambda: world.states(nodes[0]) == READY)
    assert [(found.name, found.id) for found in world.engine.members(nodes[0])] == before
    look = world.engine.look(nodes[1])
    assert look is not None
    assert (look.member, look.manages) == (True, True)


def test_manager_made_anew_without_data_is_blank_and_joins_again(managers: Managers) -> None:
    world, nodes = managers
    world.machines.delete(world.cluster, nodes[1].name)
    nodes[1] = world.answering(1, "master")
    look = world.engine.look(nodes[1])
    assert look is not None
    assert (look.member, look.manages) == (False, False)
    assert world.engine.members(nodes[1]) == []
    assert world.states(nodes[0])["1"] != "ready"
    old = world.member(nodes[0], nodes[1].name)
    world.engine.forget(nodes[0], old)
    world.engine.join(nodes[1], nodes[0])
    rig.until(lambda: world.states(nodes[0]) == READY)
    assert world.member(nodes[0], nodes[1].name).id != old.id


def test_quorum_lost_for_good_is_recovered_by_the_one_that_is_left(managers: Managers) -> None:
    world, nodes = managers
    # What managers agreed on in the last second may not be on the disk of each of them yet.
    rig.until(lambda: min(found.settled_seconds for found in world.engine.members(nodes[2])) > 3)
    kept = world.member(nodes[2], nodes[2].name)
    for node in nodes[:2]:  # the leader among them
        world.machines.delete(world.cluster, node.name)
    nodes[:2] = [world.answering(number, "master") for number in range(2)]
    rig.until(lambda: world.states(nodes[2]) == {})
    with pytest.raises(errors.Unavailable):
        world.engine.members(nodes[2])
    look = world.engine.look(nodes[2])
    assert look is not None
    assert (look.member, look.manages, bool(look.error)) == (True, True, True)
    with pytest.raises(errors.GiveUp, match="no manager"):
        world.engine.recover(nodes[0])
    if world.client:  # its engine, too, comes back without a quorum, and is not taken for a blank one
        world.client.containers.get(nodes[2].name).restart(timeout=0)
    rig.until(lambda: recovered(world, nodes[2]))
    world.engine.recover(nodes[2])
    rig.until(lambda: world.states(nodes[2]).get("2") == "ready")
    assert world.member(nodes[2], nodes[2].name).id == kept.id
    for member in world.engine.members(nodes[2]):  # who joined last may be unknown to the one that is left
        if member.id != kept.id:
            world.engine.forget(nodes[2], member)
    for node in nodes[:2]:
        world.engine.join(node, nodes[2])
    rig.until(lambda: world.states(nodes[2]) == READY)


def recovered(world: rig.World, manager: NodeAccess) -> bool:
    try:
        world.engine.recover(manager)
    except errors.Unavailable:  # not sure yet that there is no leader
        return False
    return True


def test_recover_leaves_a_healthy_cluster_alone(managers: Managers) -> None:
    world, nodes = managers
    rig.until(lambda: world.states(nodes[0]) == READY)
    world.engine.recover(nodes[0])
    assert world.states(nodes[0]) == READY
