# SPDX-License-Identifier: Apache-2.0
"""The contract of Workloads, kept by the real ones on a swarm and by the fake."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

import pytest
from workloads_world import World

from stackyard.drivers.workloads import SwarmWorkloads
from stackyard.drivers.workloads.fake import FakeWorkloads, Script
from stackyard.model import errors
from stackyard.model.applications import Mount
from stackyard.model.ports import ClusterAccess, NodeAccess, TLSPair

CRASH = ("sh", "-c", "echo going down; exit 3")
TALK = ("sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; done; exec sleep 1000")
SCRIPTS = {
    CRASH: Script(lines=("going down",), code=3),
    TALK: Script(lines=tuple("123456")),
}
FAKE_NODES = tuple(NodeAccess(f"n{number}", f"192.0.2.{number}", "master", TLSPair("", "", "")) for number in (1, 2, 3))


@pytest.fixture(params=["fake", pytest.param("swarm", marks=pytest.mark.engine)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fake":
        yield World(FakeWorkloads(SCRIPTS), ClusterAccess("c", FAKE_NODES), "sha256:0")
        return
    access, image = request.getfixturevalue("swarm")
    workloads = SwarmWorkloads(None)
    made = World(workloads, access, image)
    yield made
    workloads.remove(access, made.app_id)
    workloads.close()


def test_at_first_there_is_nothing_and_nothing_can_be_stopped(world: World) -> None:
    assert world.seen() == []
    world.workloads.stop(world.access, f"{world.app_id[:8]}-web-1")
    world.workloads.remove(world.access, world.app_id)
    assert world.workloads.tail(world.access, f"{world.app_id[:8]}-web-1", 5) == ""


def test_a_run_has_its_replicas_and_tells_whose_they_are(world: World) -> None:
    run = world.run(port=8000)
    world.start(run)
    replicas = world.ready(run)
    seen = world.of(run)
    assert seen is not None
    assert (seen.app_id, seen.service, seen.release, seen.digest, seen.replicas) == (
        world.app_id,
        "web",
        1,
        "digest1",
        2,
    )
    assert [each.slot for each in replicas] == [1, 2]
    assert len({each.endpoint for each in replicas} - {None}) == 2
    addresses = {node.name: node.address for node in world.access.nodes}
    assert all((each.endpoint or "").startswith(f"{addresses[each.node]}:") for each in replicas)
    assert all(abs((each.started_at or 0) - time.time()) < 60 for each in replicas)


def test_starting_twice_finds_the_first(world: World) -> None:
    run = world.run()
    world.start(run)
    first = world.ready(run)
    world.start(run)
    assert world.in_state(run, "running") == first
    assert len(world.seen()) == 1


@pytest.mark.parametrize("environment", [{"GREETING": "hello"}, {}])
def test_scaling_keeps_what_runs(world: World, environment: dict[str, str]) -> None:
    run = dataclasses.replace(world.run(), environment=environment)
    world.start(run)
    first = {each.id for each in world.ready(run)}
    more = dataclasses.replace(run, replicas=3)
    world.start(more)
    assert first < {each.id for each in world.ready(more)}
    time.sleep(3)  # swarm replaces one after the other what it takes for changed
    assert first < {each.id for each in world.ready(more)}
    fewer = dataclasses.replace(run, replicas=1)
    world.start(fewer)
    seen = world.of(run)
    assert seen is not None
    assert (seen.replicas, len(seen.tasks)) == (1, 1)


def test_a_run_without_replicas_is_there(world: World) -> None:
    run = world.run(replicas=0)
    world.start(run)
    assert [(each.replicas, each.tasks) for each in world.seen()] == [(0, ())]


def test_a_crash_is_told_with_its_reason_and_last_words(world: World) -> None:
    run = world.run(CRASH, replicas=1)
    world.start(run)
    world.until(lambda: world.in_state(run, "exited"))
    assert world.in_state(run, "exited")[0].reason == "exited with code 3"
    assert world.workloads.tail(world.access, run.name, 5) == "going down"


def test_a_new_release_runs_beside_the_old_and_the_old_goes_alone(world: World) -> None:
    old, new = world.run(port=8000), world.run(release=2, port=8000)
    world.start(old)
    world.ready(old)
    world.start(new)
    replicas = world.ready(new)
    assert len(world.in_state(old, "running")) == 2
    world.workloads.stop(world.access, old.name)
    assert [each.name for each in world.seen()] == [new.name]
    assert world.in_state(new, "running") == replicas


def test_wait_ends_at_a_change_and_else_when_its_time_is_up(world: World) -> None:
    run = world.run()
    world.start(run)
    world.ready(run)
    world.seen()
    begun = time.monotonic()
    world.workloads.wait(world.access, world.app_id, 0.3)
    assert 0.2 < time.monotonic() - begun < 2.0
    timer = threading.Timer(0.2, world.workloads.stop, (world.access, run.name))
    timer.start()
    world.seen()
    begun = time.monotonic()
    world.workloads.wait(world.access, world.app_id, 30.0)
    assert time.monotonic() - begun < 10.0
    timer.join()


def test_a_change_between_a_look_and_a_wait_is_not_missed(world: World) -> None:
    run = world.run()
    world.start(run)
    world.ready(run)
    world.seen()
    other = threading.Thread(target=world.workloads.stop, args=(world.access, run.name))
    other.start()
    other.join()
    begun = time.monotonic()
    world.workloads.wait(world.access, world.app_id, 30.0)
    assert time.monotonic() - begun < 1.0


def test_logs_of_all_replicas_are_in_the_order_of_their_times(world: World) -> None:
    run = world.run(TALK, replicas=3)
    world.start(run)
    world.ready(run)

    def everything() -> list[str]:
        lines = list(world.workloads.logs(world.access, world.app_id, follow=False, tail=None, service=None))
        assert [each.at for each in lines] == sorted(each.at for each in lines)
        assert len({each.replica for each in lines}) <= 3
        return [each.text for each in lines]

    world.until(lambda: len(everything()) == 18)
    assert sorted(everything()) == sorted("123456" * 3)
    last = list(world.workloads.logs(world.access, world.app_id, follow=False, tail=4, service="web"))
    assert [each.text for each in last] == everything()[-4:]
    assert list(world.workloads.logs(world.access, world.app_id, follow=False, tail=None, service="other")) == []


def test_followed_logs_take_new_containers_in_and_end_when_closed(world: World) -> None:
    stream = world.workloads.logs(world.access, world.app_id, follow=True, tail=None, service=None)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(f"{each.service} {each.text}" for each in stream))
    reader.start()
    world.start(world.run(TALK, replicas=1))
    world.until(lambda: len(lines) == 6)
    world.start(world.run(TALK, replicas=1, name="worker", release=2))
    world.until(lambda: len(lines) == 12)
    begun = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    reader.join(5)
    assert not reader.is_alive()
    assert time.monotonic() - begun < 1.0
    assert lines == [f"{name} {number}" for name in ("web", "worker") for number in range(1, 7)]


def test_following_begins_with_the_tail_of_the_application(world: World) -> None:
    run = world.run(TALK, replicas=2)
    world.start(run)
    world.ready(run)
    everything = world.until(
        lambda: (
            len(all_ := list(world.workloads.logs(world.access, world.app_id, follow=False, tail=None, service=None)))
            == 12
            and all_
        )
    )
    for count in (0, 5):
        stream = world.workloads.logs(world.access, world.app_id, follow=True, tail=count, service=None)
        with contextlib.closing(stream):  # type: ignore[type-var]
            lines = stream.poll(2.0)  # type: ignore[attr-defined]
            while more := stream.poll(0.5):  # type: ignore[attr-defined]
                lines += more
        assert lines == everything[len(everything) - count :]


def test_removing_leaves_nothing(world: World) -> None:
    node = world.access.nodes[-1].name
    for run in (world.run(), world.run(TALK, 1, name="db", mounts=(Mount("data", "/data"),), pin=node)):
        world.start(run)
        world.ready(run)
    world.workloads.remove(world.access, world.app_id)
    assert world.seen() == []
    assert list(world.workloads.logs(world.access, world.app_id, follow=False, tail=None, service=None)) == []


def test_a_run_that_fits_on_no_node_says_so(world: World) -> None:
    run = world.run(replicas=1, pin="elsewhere")
    world.start(run)
    world.until(lambda: any("no node fits" in each.reason for each in world.in_state(run, "pending")))


def test_an_image_that_does_not_exist_is_refused_at_once(world: World) -> None:
    missing = world.run(("nothing",), image=f"sha256:{'0' * 64}")
    if isinstance(world.workloads, FakeWorkloads):
        world.workloads = FakeWorkloads({("nothing",): Script(absent=True)})
    with pytest.raises(errors.GiveUp, match="sha256:0000"):
        world.start(missing)
    with pytest.raises(errors.GiveUp, match="image"):
        world.start(world.run(image=None))


def test_a_node_that_does_not_answer_is_named(world: World) -> None:
    gone = dataclasses.replace(world.access.nodes[0], name="gone", address="127.0.0.1", role="worker")
    access = dataclasses.replace(world.access, nodes=(*world.access.nodes, gone))
    if isinstance(world.workloads, FakeWorkloads):
        world.workloads.silent.add("gone")
    for attempt in (
        lambda: world.workloads.runs(access, world.app_id),
        lambda: world.workloads.logs(access, world.app_id, follow=True, tail=None, service=None),
    ):
        with pytest.raises(errors.Unavailable, match=r"engine of gone \(127.0.0.1\) does not answer: .+"):
            attempt()
