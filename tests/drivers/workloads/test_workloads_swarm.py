# SPDX-License-Identifier: Apache-2.0
"""What only a real swarm can show: names, volumes, limits, reasons of ends, leftovers, order of logs over nodes."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest
import workloads_rig as rig
from workloads_world import SERVE, World

from stackyard.drivers.workloads import SwarmWorkloads
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.drivers.workloads.resources import ensure_network, ensure_service
from stackyard.model import errors
from stackyard.model.applications import HealthCheck, Mount
from stackyard.model.files import RunFile
from stackyard.model.logs import LogLine
from stackyard.model.ports import ClusterAccess, Run

pytestmark = pytest.mark.engine


@pytest.fixture
def world(swarm: tuple[ClusterAccess, str]) -> Iterator[World]:
    workloads = SwarmWorkloads(None)
    made = World(workloads, *swarm)
    yield made
    workloads.remove(made.access, made.app_id)
    workloads.close()


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def fetch(endpoint: str | None) -> str:
    with urllib.request.urlopen(f"http://{endpoint}/", timeout=5) as answer:
        return str(answer.read().decode().strip())


def output(world: World, service: str) -> list[str]:
    lines = world.workloads.logs(world.access, world.app_id, follow=False, tail=None, service=service)
    return [each.text for each in lines]


def manager(world: World) -> NodeEngine:
    return NodeEngine(world.access.managers[0])


def reason(world: World, run: Run) -> str:
    world.start(run)
    world.until(lambda: world.in_state(run, "exited"), 40)
    return world.in_state(run, "exited")[0].reason


def test_endpoints_answer_with_the_release_s_environment(world: World) -> None:
    run = world.run(port=8000)
    literal = dataclasses.replace(run, environment={"GREETING": "{{.Node.Hostname}} $HOME {{{ }}"})
    world.start(literal)
    assert {fetch(each.endpoint) for each in world.ready(literal)} == {"{{.Node.Hostname}} $HOME {{{ }}"}


def changed(world: World, run: Run) -> bool:
    found = world.of(run)
    assert found
    return found.changed


def test_what_somebody_changed_by_hand_is_seen_and_brought_back(world: World) -> None:
    conf = RunFile("/etc/conf", "one", secret=True)
    run = dataclasses.replace(world.run(SERVE, 1, port=8000, user="0", working_dir="/"), files=(conf,))
    world.start(run)
    world.ready(run)
    assert not changed(world, run)
    engine = manager(world)
    there = engine.get(f"/services/{run.name}")
    hand = json.loads(json.dumps(there["Spec"]))
    hand["TaskTemplate"]["ContainerSpec"]["Env"] = ["GREETING=by hand"]
    engine.post(f"/services/{there['ID']}/update", hand, version=there["Version"]["Index"])
    world.until(lambda: changed(world, run))
    world.start(run)
    assert not changed(world, run)
    world.until(
        lambda: {fetch(each.endpoint) for each in world.in_state(run, "running") if each.endpoint} == {"release 1"}
    )
    before = engine.get(f"/services/{run.name}")["Version"]["Index"]
    world.start(run)
    assert engine.get(f"/services/{run.name}")["Version"]["Index"] == before, "what is right is not touched"


def test_services_find_each_other_by_name_across_releases(world: World) -> None:
    database = world.run(SERVE, 1, name="redis", port=8000)
    world.start(database)
    world.ready(database)
    client = world.run(shell("until wget -q -O - http://redis:8000/; do sleep 0.1; done; sleep 1000"), 2, release=2)
    world.start(client)
    world.until(lambda: output(world, "web").count("release 1") == 2)


def test_what_is_ready_has_its_name_and_what_is_routed_is_ready_before_the_first_interval(world: World) -> None:
    check = HealthCheck(("CMD-SHELL", "wget -q -O - http://localhost:8000/"), interval=4.0, timeout=2.0)
    web = world.run(SERVE, 1, port=8000, healthcheck=check)
    world.start(web)
    begun = time.monotonic()
    world.ready(web)
    assert time.monotonic() - begun < 4.0
    database = world.run(SERVE, 1, release=2, name="redis", healthcheck=check)
    world.start(database)
    world.ready(database)
    client = world.run(shell("wget -q -O - http://redis:8000/; sleep 1000"), 1, release=3, name="client")
    world.start(client)
    world.until(lambda: output(world, "client"))
    assert output(world, "client") == ["release 2"]


def test_a_volume_stays_on_its_node_and_keeps_its_data(world: World) -> None:
    node = world.access.nodes[-1].name
    options = {"name": "db", "mounts": (Mount("data", "/data"),), "pin": node}
    first = world.run(shell("echo kept > /data/file; echo written; sleep 1000"), 1, **options)
    world.start(first)
    world.until(lambda: output(world, "db") == ["written"])
    begun = time.monotonic()
    world.workloads.stop(world.access, first.name)
    assert time.monotonic() - begun < 2.0
    second = world.run(shell("cat /data/file; sleep 1000"), 1, release=2, **options)
    world.start(second)
    world.until(lambda: output(world, "db") == ["kept"])
    assert {each.node for each in world.in_state(second, "running")} == {node}
    world.workloads.remove(world.access, world.app_id)
    for each in world.access.nodes:
        engine = NodeEngine(each)
        mine = labelled(f"stackyard.app={world.app_id}")
        assert not engine.get("/volumes", filters=mine)["Volumes"]
        assert not engine.get("/containers/json", all=1, filters=mine)
        rig.until(lambda engine=engine, mine=mine: not engine.get("/networks", filters=mine), 15)


def test_what_the_service_asks_for_is_what_the_container_has(world: World) -> None:
    run = world.run(
        ("-c", "pwd; id -u; exec sleep 1000"),
        1,
        entrypoint=("sh",),
        working_dir="/tmp",
        user="1234",
        cpus=0.5,
        memory_bytes=32 << 20,
        stop_grace=3.0,
    )
    world.start(run)
    (replica,) = world.ready(run)
    world.until(lambda: output(world, "web") == ["/tmp", "1234"])
    node = next(node for node in world.access.nodes if node.name == replica.node)
    (row,) = NodeEngine(node).get("/containers/json", filters=labelled(f"stackyard.app={world.app_id}"))
    host = NodeEngine(node).get(f"/containers/{row['Id']}/json")["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["Init"]) == (500_000_000, 32 << 20, True)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", "exited with code 0 (it ended by itself; a service goes on running)"),
        ("exit 7", "exited with code 7"),
        ("kill -11 $$", "killed by signal 11 (SIGSEGV: it touched memory that is not its own)"),
    ],
)
def test_ends_are_told_in_words(world: World, script: str, expected: str) -> None:
    assert reason(world, world.run(shell(script), 1)) == expected


def test_a_container_that_takes_too_much_memory(world: World) -> None:
    run = world.run(shell("dd if=/dev/zero of=/dev/null bs=60M"), 1, memory_bytes=16 << 20)
    assert "out of memory" in reason(world, run)


def test_a_command_that_is_not_there(world: World) -> None:
    run = world.run(("nonsense",), 1)
    assert "(its command was not found" in reason(world, run)
    assert "nonsense" in world.workloads.tail(world.access, run.name, 5)


def test_health_decides_whether_it_runs(world: World) -> None:
    def check(test: str) -> HealthCheck:
        return HealthCheck(("CMD-SHELL", test), interval=0.5, timeout=2.0, retries=2)

    good = world.run(shell("sleep 1; echo ok > /tmp/ok; exec sleep 1000"), 1, healthcheck=check("cat /tmp/ok"))
    world.start(good)
    world.until(lambda: world.in_state(good, "starting"))
    (replica,) = world.ready(good)
    assert replica.healthchecked
    bad = world.run(shell("exec sleep 1000"), 1, release=2, healthcheck=check("echo not well; exit 1"))
    world.start(bad)
    world.until(lambda: world.in_state(bad, "unhealthy") or world.in_state(bad, "exited"))
    world.until(lambda: world.in_state(bad, "exited"))
    assert world.in_state(bad, "exited")[0].reason == "stopped because its health check failed: not well"


def test_a_crash_loop_keeps_its_newest_failures(world: World) -> None:
    run = world.run(shell("exit 1"), 1)
    world.start(run)
    world.until(lambda: len(world.in_state(run, "exited")) >= 3, 30)
    failed = world.in_state(run, "exited")
    assert [each.started_at for each in failed] == sorted((each.started_at or 0 for each in failed), reverse=True)


def test_what_a_killed_stop_left_behind_is_seen_and_stopped(world: World) -> None:
    run = world.run()
    world.start(run)
    world.ready(run)
    manager(world).delete(f"/services/{run.name}")
    seen = world.of(run)
    assert seen is not None
    assert (seen.service, seen.release, seen.replicas) == ("web", 1, 0)
    world.workloads.stop(world.access, run.name)
    assert world.seen() == []


def test_placing_near_the_old_restarts_nothing_and_does_not_last(world: World) -> None:
    old, new = world.run(port=8000), world.run(release=2, port=8000)
    world.start(old)
    nodes = {each.node for each in world.ready(old)}
    world.start(new)
    replicas = world.ready(new)
    assert {each.node for each in replicas} == nodes
    time.sleep(2)
    assert [each.id for each in world.in_state(new, "running")] == [each.id for each in replicas]
    assert not manager(world).get(f"/services/{new.name}")["Spec"]["TaskTemplate"]["Placement"].get("Constraints")


def test_scaling_with_other_credentials_what_was_placed_near_the_old_restarts_nothing(world: World) -> None:
    run, engine = world.run(), manager(world)
    network_id = ensure_network(engine, world.app_id)
    ensure_service(engine, run, network_id, ["somewhere"], {"registrytoken": "first"})
    first = {each.id for each in world.ready(run)}
    more = dataclasses.replace(run, replicas=3)
    ensure_service(engine, more, network_id, [], {"registrytoken": "second"})
    world.ready(more)
    time.sleep(3)
    assert first < {each.id for each in world.ready(more)}


def test_a_start_that_was_killed_halfway_is_finished_by_the_next(world: World) -> None:
    run = world.run()
    world.start(run)
    world.ready(run)
    current = manager(world).get(f"/services/{run.name}")
    halfway = current["Spec"] | {"Mode": {"Replicated": {"Replicas": 1}}}
    halfway["TaskTemplate"]["Placement"] = {"Constraints": ["node.hostname!=somewhere"]}
    manager(world).post(f"/services/{current['ID']}/update", halfway, version=current["Version"]["Index"])
    world.start(run)
    world.ready(run)
    assert not manager(world).get(f"/services/{run.name}")["Spec"]["TaskTemplate"]["Placement"].get("Constraints")


def test_a_changed_digest_replaces_the_containers(world: World) -> None:
    run = world.run(port=8000, replicas=1)
    world.start(run)
    world.ready(run)
    changed = dataclasses.replace(run, digest="other", environment={"GREETING": "changed"})
    world.start(changed)
    world.until(lambda: [fetch(each.endpoint) for each in world.in_state(run, "running")] == ["changed"], 30)


def test_a_container_that_ignores_its_signal_is_gone_after_its_grace(world: World) -> None:
    run = world.run(shell("trap '' TERM; while true; do sleep 0.1; done"), 1, stop_grace=1.0)
    world.start(run)
    world.ready(run)
    begun = time.monotonic()
    world.workloads.stop(world.access, run.name)
    assert 1.0 < time.monotonic() - begun < 5.0
    assert world.seen() == []


def test_a_cluster_without_an_answering_manager_says_which(world: World) -> None:
    silent = tuple(dataclasses.replace(node, address="127.0.0.1") for node in world.access.nodes)
    with pytest.raises(errors.Unavailable, match=world.access.managers[0].name):
        world.workloads.start(dataclasses.replace(world.access, nodes=silent), world.run())


def test_followed_logs_of_four_busy_writers_are_in_order_and_soon_there(world: World) -> None:
    count = 500
    script = f"i=0; while [ $i -lt {count} ]; do echo $i; echo $i >&2; i=$((i+1)); usleep 6000; done; sleep 1000"
    stream = world.workloads.logs(world.access, world.app_id, follow=True, tail=None, service=None)
    lines: list[LogLine] = []
    delays: list[float] = []

    def read() -> None:
        for line in stream:
            lines.append(line)
            delays.append(time.time() - datetime.datetime.fromisoformat(line.at[:26] + "+00:00").timestamp())

    reader = threading.Thread(target=read)
    reader.start()
    world.start(world.run(shell(script), 4))
    world.until(lambda: len(lines) >= count * 8, 60)
    stream.close()  # type: ignore[attr-defined]
    reader.join(5)
    ordered = [each.at for each in lines if not each.late]  # a busy machine may deliver some too late for that
    assert ordered == sorted(ordered)
    streams = collections.defaultdict(list)
    for each in lines:
        streams[each.replica, each.stream].append(int(each.text))
    assert list(streams.values()) == [list(range(count))] * 8
    print(f"added delay: p50 {sorted(delays)[len(delays) // 2]:.3f} s")


def test_closed_streams_leave_no_threads(world: World) -> None:
    run = world.run(shell("while true; do echo x; sleep 0.05; done"))
    world.start(run)
    world.ready(run)
    for _ in range(3):
        stream = world.workloads.logs(world.access, world.app_id, follow=True, tail=3, service=None)
        assert next(stream).text == "x"
        del stream  # dropped without being closed
    world.workloads.close()  # type: ignore[attr-defined]
    time.sleep(0.5)
    left = [each.name for each in threading.enumerate() if each.name.startswith(("log", "events"))]
    assert left == []


def test_odd_lines_arrive_whole(world: World) -> None:
    script = r"head -c 50000 /dev/zero | tr '\0' x; echo; printf 'caf\351\n'; printf 'last'; sleep 0.2"
    run = world.run(shell(script), 1)
    world.start(run)
    world.until(lambda: len(output(world, "web")) >= 3)
    assert output(world, "web")[:3] == ["x" * 50000, "caf�", "last"]
