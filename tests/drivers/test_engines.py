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


def member(world: rig.World, manager: NodeAccess, name: str) -> Member:
    return next(found for found in world.engine.members(manager) if found.name == name)


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
    assert after == before
    assert [(found.name, found.role, found.address) for found in after] == sorted(
        (node.name, node.role, node.address) for node in formed
    )
    assert [found.name for found in after if found.leader] == [formed[0].name]
    assert world.engine.members(formed[1]) == []


def test_drain_and_forget(world: rig.World, formed: list[NodeAccess]) -> None:
    leaving = member(world, formed[0], formed[2].name)
    world.engine.update(formed[0], dataclasses.replace(leaving, draining=True))
    world.engine.update(formed[0], dataclasses.replace(leaving, draining=True))
    assert member(world, formed[0], leaving.name).draining
    world.engine.forget(formed[0], leaving)
    world.engine.forget(formed[0], leaving)
    assert leaving.name not in {found.name for found in world.engine.members(formed[0])}


def test_forgotten_node_can_join_again(world: rig.World, formed: list[NodeAccess]) -> None:
    old = member(world, formed[0], formed[1].name)
    world.engine.forget(formed[0], old)
    rig.until(lambda: _joined(world, formed))
    assert member(world, formed[0], formed[1].name).id != old.id


def _joined(world: rig.World, formed: list[NodeAccess]) -> bool:
    world.engine.join(formed[1], formed[0])
    return member(world, formed[0], formed[1].name).state == "ready"


def test_last_manager_is_not_forgotten(world: rig.World, formed: list[NodeAccess]) -> None:
    with pytest.raises((errors.GiveUp, errors.Unavailable), match="last manager"):
        world.engine.forget(formed[0], member(world, formed[0], formed[0].name))
    assert len(world.engine.members(formed[0])) == 3
