# SPDX-License-Identifier: Apache-2.0
"""That a swarm formed by the drivers really runs things: overlay, names, ports between nodes, and survives."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import socket
from collections.abc import Iterator

import docker
import nodes_rig as rig
import pytest

from stackyard.drivers.engines.connection import connect
from stackyard.model import errors
from stackyard.model.ports import NodeAccess

pytestmark = pytest.mark.engine
PORT = 7000


@pytest.fixture(scope="module")
def world() -> Iterator[rig.World]:
    with rig.world("docker") as made:
        made.machines.ensure_network(made.cluster)
        yield made


@pytest.fixture(scope="module")
def swarm(world: rig.World) -> list[NodeAccess]:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        nodes = list(pool.map(world.create, range(3), ["master", "worker", "worker"]))
    for node in nodes:
        rig.until(lambda node=node: world.engine.look(node))  # type: ignore[misc]
    world.engine.init(nodes[0])
    for node in nodes[1:]:
        world.engine.join(node, nodes[0])
    rig.until(lambda: all_ready(world, nodes))
    return nodes


@pytest.fixture(scope="module")
def redis(world: rig.World, swarm: list[NodeAccess]) -> str:
    """Have an image on two nodes; return its name."""
    reference = rig.images.build(world.client, ["redis"], lambda name, line: None)["redis"]
    for node in swarm[1:]:
        connect(node).images.load(world.client.images.get(reference).save(named=reference))
    return reference


def all_ready(world: rig.World, nodes: list[NodeAccess]) -> bool:
    return [member.state for member in world.engine.members(nodes[0])] == ["ready"] * len(nodes)


def ping(address: str) -> bytes:
    with contextlib.suppress(OSError), socket.create_connection((address, PORT), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(10)
    return b""


def run_in(node: NodeAccess, name: str, command: list[str]) -> str:
    found = connect(node).containers.list(filters={"name": name})
    return str(found[0].exec_run(command).output.decode()) if found else ""


def test_overlay_names_and_ports_between_nodes(swarm: list[NodeAccess], redis: str) -> None:
    manager, first, second = swarm
    client = connect(manager)
    network = client.networks.create("overlay", driver="overlay")
    endpoint = docker.types.EndpointSpec(mode="dnsrr", ports={PORT: (6379, "tcp", "host")})
    there = client.services.create(
        redis, name="there", networks=[network.id], endpoint_spec=endpoint, constraints=[f"node.hostname=={first.name}"]
    )
    here = client.services.create(
        redis,
        name="here",
        networks=[network.id],
        endpoint_spec=docker.types.EndpointSpec(mode="dnsrr"),
        constraints=[f"node.hostname=={second.name}"],
    )
    try:
        rig.until(lambda: ping(first.address) == b"+PONG\r\n")
        assert ping(second.address) == b""
        rig.until(lambda: "PONG" in run_in(second, "here", ["redis-cli", "-h", "there", "ping"]))
    finally:
        there.remove()
        here.remove()
        rig.until(lambda: not [*connect(first).containers.list(), *connect(second).containers.list()])
        rig.until(lambda: removed(network))


def removed(network: docker.models.networks.Network) -> bool:
    try:
        network.remove()
    except docker.errors.NotFound:
        return True
    except docker.errors.APIError:
        return False
    return True


def test_containers_in_nodes_resolve_names_of_the_cluster(swarm: list[NodeAccess], redis: str) -> None:
    """Builds run on the node's default bridge, where the Engine gives no resolver of its own."""
    first, second = swarm[1:]
    command = ["getent", "hosts", second.name]
    answer = connect(first).containers.run(redis, command, entrypoint="", remove=True)
    assert second.address in answer.decode()


def test_oom_score_below_zero_is_taken(swarm: list[NodeAccess], redis: str) -> None:
    answer = connect(swarm[1]).containers.run(redis, ["echo", "ran"], oom_score_adj=-500, remove=True)
    assert answer == b"ran\n"


def test_drained_worker_is_made_anew_and_gets_its_tasks_back(
    world: rig.World, swarm: list[NodeAccess], redis: str
) -> None:
    """An upgrade of a node: its image of the service is still there, and so is what it stored."""
    manager, worker, other = swarm
    volume = docker.types.Mount(target="/kept", source="sytest-kept", type="volume")
    client = connect(manager)
    everywhere = client.services.create(
        redis, name="everywhere", mode="global", mounts=[volume], constraints=["node.role==worker"]
    )
    try:
        rig.until(lambda: tasks(world, manager) == {worker.name: 1, other.name: 1, manager.name: 0})
        write = ["sh", "-c", "echo mine > /kept/it && cat /kept/it"]
        rig.until(lambda: run_in(worker, "everywhere", write) == "mine\n", 20)
        before = world.member(manager, worker.name)
        world.engine.update(manager, dataclasses.replace(before, draining=True))
        rig.until(lambda: tasks(world, manager)[worker.name] == 0)
        world.machines.delete(world.cluster, worker.name, keep_data=True)
        rig.until(lambda: world.answering(1).address == worker.address)
        rig.until(lambda: world.member(manager, worker.name).state == "ready")
        world.engine.update(manager, dataclasses.replace(before, draining=False))
        rig.until(lambda: tasks(world, manager)[worker.name] == 1)
        assert world.member(manager, worker.name).id == before.id
        rig.until(lambda: run_in(worker, "everywhere", ["cat", "/kept/it"]) == "mine\n", 20)
    finally:
        everywhere.remove()


def tasks(world: rig.World, manager: NodeAccess) -> dict[str, int]:
    return {member.name: member.tasks for member in world.engine.members(manager)}


def test_swarm_survives_a_restart_of_its_nodes(world: rig.World, swarm: list[NodeAccess]) -> None:
    before = world.engine.members(swarm[0])
    for node in swarm[:2]:
        world.client.containers.get(node.name).restart()
    rig.until(lambda: all(world.engine.look(node) for node in swarm))
    rig.until(lambda: settled(world, swarm))
    after = world.engine.members(swarm[0])
    assert [(m.id, m.name, m.address) for m in after] == [(m.id, m.name, m.address) for m in before]


def settled(world: rig.World, nodes: list[NodeAccess]) -> bool:
    with contextlib.suppress(errors.Unavailable):
        return all_ready(world, nodes)
    return False


def test_member_of_a_dead_swarm_joins_another(world: rig.World, swarm: list[NodeAccess]) -> None:
    fresh = world.create(9, "master")
    rig.until(lambda: world.engine.look(fresh))
    world.engine.init(fresh)
    mover = swarm[2]
    world.engine.join(mover, fresh)
    rig.until(lambda: settled_names(world, fresh) == sorted([fresh.name, mover.name]))
    world.machines.delete(world.cluster, fresh.name)
    rig.until(lambda: "down" in {m.state for m in world.engine.members(swarm[0])})
    stale = next(m for m in world.engine.members(swarm[0]) if m.state == "down")
    world.engine.forget(swarm[0], stale)
    world.engine.join(mover, swarm[0])
    rig.until(lambda: all_ready(world, swarm))


def settled_names(world: rig.World, manager: NodeAccess) -> list[str]:
    return [member.name for member in world.engine.members(manager) if member.state == "ready"]


def test_manager_is_demoted_before_it_is_forgotten(world: rig.World, swarm: list[NodeAccess]) -> None:
    second = world.create(5, "master")
    rig.until(lambda: world.engine.look(second))
    world.engine.join(second, swarm[0])
    rig.until(lambda: [m.name for m in world.engine.members(second)])
    member = next(m for m in world.engine.members(swarm[0]) if m.name == second.name)
    assert member.role == "master"
    world.engine.forget(swarm[0], member)
    assert second.name not in {m.name for m in world.engine.members(swarm[0])}
    world.machines.delete(world.cluster, second.name)
