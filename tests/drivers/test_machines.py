# SPDX-License-Identifier: Apache-2.0
"""The contract of the port Machines, for the fake and for Docker."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import threading
from collections.abc import Iterator

import nodes_rig as rig
import pytest

from stackyard.model import errors


@pytest.fixture(scope="module", params=["fake", pytest.param("docker", marks=pytest.mark.engine)])
def kind(request: pytest.FixtureRequest) -> Iterator[rig.World]:
    with rig.world(request.param) as made:
        yield made


@pytest.fixture
def world(kind: rig.World) -> Iterator[rig.World]:
    made = rig.World(kind.machines, kind.engine, kind.client, kind.instance)
    yield made
    for machine in made.machines.list(made.cluster):
        made.machines.delete(made.cluster, machine.name)
    made.machines.delete_network(made.cluster)


def test_network_is_made_once_and_removed(world: rig.World) -> None:
    assert not world.machines.has_network(world.cluster)
    world.machines.ensure_network(world.cluster)
    world.machines.ensure_network(world.cluster)
    assert world.machines.has_network(world.cluster)
    world.machines.delete_network(world.cluster)
    world.machines.delete_network(world.cluster)
    assert not world.machines.has_network(world.cluster)


def test_machine_needs_its_network(world: rig.World) -> None:
    with pytest.raises(errors.Unavailable, match="network"):
        world.create(0)
    assert world.machines.list(world.cluster) == []


def test_create_again_finds_the_first(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    addresses: list[str] = []

    def issue(address: str) -> rig.TLSPair:
        addresses.append(address)
        return rig.issue(address)

    first = world.machines.create(world.spec(0, "master"), issue)
    again = world.machines.create(world.spec(0, "master"), issue)
    assert first == again
    assert first.state == "running"
    assert first.role == "master"
    assert addresses == [first.address]
    assert world.machines.list(world.cluster) == [first]


def test_machines_made_at_once_have_their_own_addresses(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        made = list(pool.map(world.create, range(3)))
    assert len({node.address for node in made}) == 3
    assert [machine.name for machine in world.machines.list(world.cluster)] == sorted(node.name for node in made)


def test_network_stays_while_machines_are_on_it(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    node = world.create(0)
    with pytest.raises(errors.Unavailable, match="nodes are still on it"):
        world.machines.delete_network(world.cluster)
    world.machines.delete(world.cluster, node.name)
    world.machines.delete(world.cluster, node.name)
    assert world.machines.list(world.cluster) == []


def test_clusters_do_not_see_each_others_machines(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    node = world.create(0)
    other = rig.World(world.machines, world.engine).cluster
    assert world.machines.list(other) == []
    world.machines.delete(other, node.name)
    assert len(world.machines.list(world.cluster)) == 1


def test_data_that_is_kept_comes_back_with_its_address(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    node = world.answering(1, "master")
    world.engine.init(node)
    world.machines.delete(world.cluster, node.name, keep_data=True)
    world.machines.delete(world.cluster, node.name, keep_data=True)
    assert world.machine(1).state == "absent"
    other = world.create(0)
    assert world.machine(1).address == node.address != other.address
    again = world.answering(1, "master")
    assert again.address == node.address
    look = world.engine.look(again)
    assert look is not None
    assert look.member


def test_data_that_is_not_kept_goes(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    node = world.answering(0, "master")
    world.engine.init(node)
    world.machines.delete(world.cluster, node.name, keep_data=True)
    world.machines.delete(world.cluster, node.name)
    assert world.machines.list(world.cluster) == []
    look = world.engine.look(world.answering(0, "master"))
    assert look is not None
    assert not look.member


def test_machine_tells_what_it_was_made_of(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    first, second = world.spec(0), dataclasses.replace(world.spec(0), image="next", trust="1..2")
    world.machines.create(first, rig.issue)
    assert (world.machine(0).image, world.machine(0).trust) == (first.image, "1..1")
    # One that runs is kept as it is: it is the planner who replaces machines.
    assert world.machines.create(second, rig.issue) == world.machine(0)
    assert (world.machine(0).image, world.machine(0).trust) == (first.image, "1..1")
    world.machines.delete(world.cluster, first.name, keep_data=True)
    world.machines.create(second, rig.issue)
    assert (world.machine(0).image, world.machine(0).trust) == (second.image, "1..2")


def test_network_goes_with_the_data_that_was_left(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    node = world.create(0)
    world.machines.delete(world.cluster, node.name, keep_data=True)
    world.machines.delete_network(world.cluster)
    assert not world.machines.has_network(world.cluster)
    assert world.machines.list(world.cluster) == []


def test_watch_tells_which_cluster(world: rig.World) -> None:
    world.machines.ensure_network(world.cluster)
    told: list[str] = []

    def watch() -> None:
        for cluster_id in world.machines.watch():
            told.append(cluster_id)

    threading.Thread(target=watch, daemon=True).start()
    node = world.create(0)
    rig.until(lambda: world.cluster in told)
    told.clear()
    world.machines.delete(world.cluster, node.name)
    rig.until(lambda: world.cluster in told)
