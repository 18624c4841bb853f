# SPDX-License-Identifier: Apache-2.0
"""What only machines on a real Docker Engine can show: kill points, races, isolation, and nothing left behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator

import docker
import docker.errors
import nodes_rig as rig
import pytest
from docker.types import IPAMConfig, IPAMPool

from stackyard.drivers.fake import FakeMachines
from stackyard.drivers.machines import container, subnets
from stackyard.drivers.machines.docker import DockerMachines
from stackyard.drivers.machines.purge import purge
from stackyard.model import errors

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def shared() -> Iterator[rig.World]:
    with rig.world("docker") as made:
        yield made


@pytest.fixture
def world(shared: rig.World) -> Iterator[rig.World]:
    made = rig.World(shared.machines, shared.engine, shared.client, shared.instance)
    made.machines.ensure_network(made.cluster)
    yield made
    for machine in made.machines.list(made.cluster):
        made.machines.delete(made.cluster, machine.name)
    made.machines.delete_network(made.cluster)


class Killed(BaseException):
    """Stands for a kill: no code of ours handles it."""


def another(world: rig.World) -> DockerMachines:
    """Return a second worker's machines."""
    reference = rig.images.recipes()["node"].reference
    return DockerMachines(docker.from_env(timeout=120), world.instance, lambda _: reference, rig.SUBNETS)


def engine_answers(world: rig.World, number: int) -> bool:
    machine = next(m for m in world.machines.list(world.cluster) if m.name == world.spec(number).name)
    return bool(rig.until(lambda: world.engine.look(rig.access(machine))))


def test_killed_before_the_certificate(world: rig.World) -> None:
    def killed(address: str) -> rig.TLSPair:
        raise Killed

    with pytest.raises(Killed):
        world.machines.create(world.spec(0), killed)
    half = world.machines.list(world.cluster)
    assert [machine.state for machine in half] == ["stopped"]
    whole = another(world).create(world.spec(0), rig.issue)
    assert whole.address == half[0].address
    assert engine_answers(world, 0)


def test_killed_before_the_start(world: rig.World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(world.machines._api, "start", killed)  # type: ignore[attr-defined]
        with pytest.raises(Killed):
            world.machines.create(world.spec(0), rig.issue)
    assert another(world).create(world.spec(0), rig.issue).state == "running"
    assert engine_answers(world, 0)


def test_killed_between_volume_and_container(world: rig.World) -> None:
    with dying(world, "create_container"), pytest.raises(Killed):
        world.create(0)
    half = world.machine(0)
    assert half.state == "absent"
    assert world.create(1).address != half.address
    assert world.create(0).address == half.address
    assert world.machine(0).state == "running"


def test_killed_between_container_and_volume(world: rig.World) -> None:
    node = world.create(0)
    with dying(world, "remove_volume"), pytest.raises(Killed):
        world.machines.delete(world.cluster, node.name)
    assert world.machine(0).state == "absent"
    world.machines.delete(world.cluster, node.name)
    assert world.machines.list(world.cluster) == []
    assert not world.client.volumes.list(filters={"label": f"stackyard.cluster={world.cluster}"})


@contextlib.contextmanager
def dying(world: rig.World, call: str) -> Iterator[None]:
    """Let us be killed when this call of the Engine is next made."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.machines._api, call, killed)  # type: ignore[attr-defined]
        yield


def test_stopped_node_of_other_trust_is_made_anew_with_its_data(world: rig.World) -> None:
    node = world.create(0)
    assert engine_answers(world, 0)
    container = world.client.containers.get(node.name)
    container.exec_run("touch /var/lib/docker/kept")
    container.stop(timeout=1)
    again = world.machines.create(rig.dataclasses.replace(world.spec(0), trust="1..2"), rig.issue)
    assert (again.address, again.trust) == (node.address, "1..2")
    renewed = world.client.containers.get(node.name)
    assert renewed.id != container.id
    assert renewed.exec_run("test -e /var/lib/docker/kept").exit_code == 0


def test_node_made_while_its_cluster_goes_leaves_nothing(world: rig.World) -> None:
    def late(address: str) -> rig.TLSPair:
        world.machines._networks.delete(world.cluster)  # type: ignore[attr-defined]
        return rig.issue(address)

    with pytest.raises(errors.Unavailable, match="network has gone"):
        world.machines.create(world.spec(0), late)
    assert world.machines.list(world.cluster) == []


def test_stranger_on_the_network_is_taken_off(world: rig.World) -> None:
    reference = rig.images.recipes()["redis"].reference
    rig.images.build(world.client, ["redis"], lambda name, line: None)
    name = f"sytest-nodes-{world.cluster[:6]}-x"
    stranger = world.client.containers.run(reference, name=name, network=network_of(world), detach=True)
    try:
        world.machines.delete_network(world.cluster)
        assert not world.machines.has_network(world.cluster)
    finally:
        stranger.remove(force=True)


def network_of(world: rig.World) -> str:
    return str(world.client.networks.list(filters={"label": f"stackyard.cluster={world.cluster}"})[0].name)


def test_stopped_node_comes_back_with_address_and_data(world: rig.World) -> None:
    node = world.create(0)
    assert engine_answers(world, 0)
    container = world.client.containers.get(node.name)
    container.exec_run("touch /var/lib/docker/kept")
    container.stop()
    assert world.machines.list(world.cluster)[0].state == "stopped"
    assert world.machines.list(world.cluster)[0].address == node.address
    assert world.create(0).address == node.address
    assert engine_answers(world, 0)
    assert container.exec_run("test -e /var/lib/docker/kept").exit_code == 0


def test_node_that_is_killed_starts_again_by_itself(world: rig.World) -> None:
    node = world.create(0)
    assert engine_answers(world, 0)
    # From inside, as a crash would be: a kill by the Engine's API counts as wanted.
    container = world.client.containers.get(node.name)
    container.exec_run(["sh", "-c", "kill -9 $(cat /run/docker.pid)"])
    rig.until(lambda: (container.reload(), container.attrs["RestartCount"])[1] == 1)
    assert engine_answers(world, 0)


def test_two_workers_make_the_same_at_once(world: rig.World) -> None:
    first, second = world.machines, another(world)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(m.create, world.spec(n), rig.issue) for n in range(2) for m in (first, second)]
        results = [job.exception() for job in jobs]
    assert [result for result in results if not isinstance(result, errors.Unavailable | None)] == []
    for number in range(2):
        first.create(world.spec(number), rig.issue)
    made = first.list(world.cluster)
    assert [machine.state for machine in made] == ["running", "running"]
    assert len({machine.address for machine in made}) == 2


def test_networks_made_at_once_are_one(shared: rig.World) -> None:
    world = rig.World(shared.machines, shared.engine, shared.client, shared.instance)
    workers = [another(world) for _ in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda machines: machines.ensure_network(world.cluster), workers))
    marks = {"label": f"stackyard.cluster={world.cluster}"}
    try:
        assert len(world.client.networks.list(filters=marks)) == 1
    finally:
        world.machines.delete_network(world.cluster)


def test_subnet_that_another_has_taken_is_passed_over(shared: rig.World) -> None:
    world = rig.World(shared.machines, shared.engine, shared.client, shared.instance)
    first = str(next(subnets.candidates(rig.SUBNETS, world.cluster, [])))
    blocker = world.client.networks.create(
        f"sytest-nodes-{world.cluster[:6]}", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=first)])
    )
    try:
        world.machines.ensure_network(world.cluster)
        node = world.create(0)
        assert node.address.rpartition(".")[0] != first.rpartition(".")[0]
    finally:
        blocker.remove()
        world.machines.delete(world.cluster, world.spec(0).name)
        world.machines.delete_network(world.cluster)


def test_no_subnet_left_is_said(shared: rig.World) -> None:
    reference = rig.images.recipes()["node"].reference
    narrow = DockerMachines(shared.client, shared.instance, lambda _: reference, "10.183.7.0/24")
    narrow.ensure_network("one-cluster")
    try:
        with pytest.raises(errors.GiveUp, match=r"10\.183\.7\.0/24"):
            narrow.ensure_network("another-cluster")
    finally:
        narrow.delete_network("one-cluster")


def test_engine_takes_nobody_without_a_certificate(world: rig.World) -> None:
    node = world.create(0)
    assert engine_answers(world, 0)
    for port in (2375, 22):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((node.address, port), timeout=2)
    context = ssl.create_default_context(cadata=rig.CA.cert)
    # The refusal comes with the first read: TLS 1.3 ends its handshake before the client's certificate is looked at.
    connection = socket.create_connection((node.address, 2376), timeout=5)
    with connection, context.wrap_socket(connection, server_hostname=node.address) as tls:
        tls.sendall(b"GET /version HTTP/1.0\r\n\r\n")
        with pytest.raises(OSError, match=r"certificate|reset|EOF"):
            tls.recv(100)


def test_clusters_can_not_reach_each_other(world: rig.World, shared: rig.World) -> None:
    other = rig.World(shared.machines, shared.engine, shared.client, shared.instance)
    other.machines.ensure_network(other.cluster)
    try:
        mine, neighbour, theirs = world.create(0), world.create(1), other.create(0)
        assert engine_answers(world, 1)
        assert engine_answers(other, 0)
        container = world.client.containers.get(mine.name)

        def reaches(address: str) -> bool:
            probe = f"exec 3<>/dev/tcp/{address}/2376"
            return container.exec_run(["timeout", "2", "bash", "-c", probe]).exit_code == 0

        assert reaches(neighbour.address)
        assert not reaches(theirs.address)
    finally:
        other.machines.delete(other.cluster, other.spec(0).name)
        other.machines.delete_network(other.cluster)


def test_no_secret_shows_and_nothing_stays(world: rig.World) -> None:
    node = world.create(0)
    seen = world.client.containers.get(node.name).attrs
    shown = json.dumps([seen["Config"], seen["Args"], seen["HostConfig"]])
    assert "PRIVATE KEY" not in shown
    volumes = [mount["Name"] for mount in seen["Mounts"] if mount["Type"] == "volume"]
    assert len(volumes) == 1
    world.machines.delete(world.cluster, node.name)
    with pytest.raises(docker.errors.NotFound):
        world.client.volumes.get(volumes[0])


def test_limits_are_set(world: rig.World) -> None:
    spec = rig.dataclasses.replace(world.spec(0), cpus=0.5, memory_mb=512)
    world.machines.create(spec, rig.issue)
    limits = world.client.containers.get(spec.name).attrs["HostConfig"]
    assert (limits["NanoCpus"], limits["Memory"]) == (500_000_000, 512 * 1024 * 1024)


def test_limits_beyond_the_host_are_the_hosts(world: rig.World) -> None:
    machines = world.machines
    assert machines.create(rig.dataclasses.replace(world.spec(0), cpus=999, memory_mb=10**7), rig.issue).limited
    limits = world.client.containers.get(world.spec(0).name).attrs["HostConfig"]
    assert limits["NanoCpus"] == world.client.info()["NCPU"] * 10**9


def test_process_beyond_the_nodes_memory_is_killed(world: rig.World) -> None:
    world.machines.create(rig.dataclasses.replace(world.spec(0), memory_mb=256), rig.issue)
    assert engine_answers(world, 0)
    container = world.client.containers.get(world.spec(0).name)
    # `tail` keeps what has no end of line: 1 GiB of it.
    hungry = container.exec_run(["sh", "-c", "head -c 1G /dev/zero | tail > /dev/null; echo over"])
    assert "Killed" in hungry.output.decode() or hungry.exit_code == 137, hungry
    container.reload()
    assert container.attrs["RestartCount"] == 0
    assert engine_answers(world, 0)


def test_size_of_the_volume_is_enforced_or_said_not_to_be(world: rig.World) -> None:
    spec = rig.dataclasses.replace(world.spec(0), volume_gb=3)
    machine = world.machines.create(spec, rig.issue)
    assert machine == world.machine(0)
    assert machine.limited == (world.client.volumes.get(spec.name).attrs["Options"] == {"size": "3G"})
    world.machines.delete(world.cluster, spec.name, keep_data=True)
    assert world.machine(0).limited == machine.limited
    assert world.machines.create(spec, rig.issue).limited == machine.limited
    assert world.machines.create(world.spec(1), rig.issue).limited


def test_limits_that_a_host_can_not_enforce_are_said() -> None:
    spec = rig.dataclasses.replace(rig.World(FakeMachines(), None).spec(0), cpus=2, memory_mb=512)  # type: ignore[arg-type]
    able = {"NCPU": 4, "CpuCfsQuota": True, "MemoryLimit": True}
    assert container.limits(spec, able) == container.Limits(2, 512, all=True)
    assert container.limits(spec, able | {"CpuCfsQuota": False}) == container.Limits(0, 512, all=False)
    assert container.limits(spec, able | {"MemoryLimit": False}) == container.Limits(2, 0, all=False)
    nothing = rig.dataclasses.replace(spec, cpus=0, memory_mb=0)
    assert container.limits(nothing, {"NCPU": 4}) == container.Limits(0, 0, all=True)


def test_unknown_image_is_refused(world: rig.World) -> None:
    machines = DockerMachines(world.client, world.instance, subnets=rig.SUBNETS)
    for image in ("debian:bookworm", "../node", "nothing-of-ours"):
        with pytest.raises(errors.GiveUp, match="image"):
            machines.create(rig.dataclasses.replace(world.spec(0), image=image), rig.issue)
    assert machines.list(world.cluster) == []


def test_purge_removes_all_of_an_instance_and_no_more(shared: rig.World) -> None:
    doomed = DockerMachines(shared.client, f"{shared.instance}x", subnets=rig.SUBNETS)
    world = rig.World(doomed, shared.engine, shared.client)
    shared.machines.ensure_network("kept")
    try:
        doomed.ensure_network(world.cluster)
        world.create(0)
        shared.client.volumes.create(f"{shared.instance}-v", labels={"stackyard.instance": f"{shared.instance}x"})
        purge(shared.client, f"{shared.instance}x")
        purge(shared.client, f"{shared.instance}x")
        marks = {"label": f"stackyard.instance={shared.instance}x"}
        assert not shared.client.containers.list(all=True, filters=marks)
        assert not shared.client.networks.list(filters=marks)
        assert not shared.client.volumes.list(filters=marks)
        assert shared.machines.has_network("kept")
    finally:
        shared.machines.delete_network("kept")
        with contextlib.suppress(docker.errors.NotFound):
            shared.client.volumes.get(f"{shared.instance}-v").remove()


LIFE = """
import concurrent.futures, docker, json, sys, uuid
from stackyard.drivers.machines.docker import DockerMachines
from stackyard.model.ports import MachineSpec, TLSPair
instance, image, pool, count = sys.argv[1:]
machines = DockerMachines(docker.from_env(timeout=120, max_pool_size=32), instance, lambda _: image, pool)
def live(cluster):
    machines.ensure_network(cluster)
    spec = MachineSpec("sytest-nodes-" + cluster[:8], cluster, "g", "worker", "node")
    address = machines.create(spec, lambda address: TLSPair("", "", "")).address
    seen = [(machine.name, machine.address, machine.state) for machine in machines.list(cluster)]
    machines.delete(cluster, spec.name)
    machines.delete_network(cluster)
    return address, seen == [(spec.name, address, "running")]
clusters = [str(uuid.uuid4()) for _ in range(int(count))]
with concurrent.futures.ThreadPoolExecutor(len(clusters)) as pool:
    print(json.dumps(list(pool.map(live, clusters))))
"""


def test_twenty_clusters_come_and_go_at_once_from_two_processes(shared: rig.World) -> None:
    """What is measured is the allocation of networks and addresses, so a small server stands for the nodes' Engine."""
    image = rig.images.build(shared.client, ["redis"], lambda name, line: None)["redis"]
    command = [sys.executable, "-c", LIFE, f"{shared.instance}t", image, "10.182.224.0/19", "10"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(subprocess.Popen(command, text=True, **pipes)) for _ in range(2)]
        ended = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], [said[-2000:] for _, said in ended]
    assert all(seen for out, _ in ended for _, seen in json.loads(out))
    marks = {"label": f"stackyard.instance={shared.instance}t"}
    assert not shared.client.containers.list(all=True, filters=marks)
    assert not shared.client.networks.list(filters=marks)
    assert not shared.client.volumes.list(filters=marks)
