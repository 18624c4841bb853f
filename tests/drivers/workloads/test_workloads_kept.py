# SPDX-License-Identifier: Apache-2.0
"""Log lines of real containers are kept while they run, shown when they are gone, and followed as they are kept."""

from __future__ import annotations

import collections
import datetime
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import workloads_rig as rig
from workloads_world import World

from stackyard.api.application_deployment.reading import Choice, Reading
from stackyard.drivers.logs.files import FileLogStore
from stackyard.drivers.workloads import SwarmWorkloads
from stackyard.model.logs import Checkpoint, LogLine, Place
from stackyard.model.ports import ClusterAccess
from stackyard.worker.collector import Keeping, Origin

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
RATE_MS = 4
COUNT = 1500
Keep = Callable[[], Keeping]


@pytest.fixture
def world(swarm: tuple[ClusterAccess, str]) -> Iterator[World]:
    workloads = SwarmWorkloads(None)
    made = World(workloads, *swarm)
    yield made
    workloads.remove(made.access, made.app_id)
    workloads.close()


@pytest.fixture
def store(tmp_path: pathlib.Path) -> FileLogStore:
    return FileLogStore(tmp_path / "lines")


@pytest.fixture
def keep(world: World, store: FileLogStore) -> Iterator[Keep]:
    """Keepers of the application's lines; those that a test leaves are ended behind it."""
    begun: list[Keeping] = []

    def begin() -> Keeping:
        lines = store.keeper(world.app_id)
        begun.append(Keeping(world.app_id, Origin("", world.access), lines, world.workloads, lambda line: line))
        return begun[-1]

    yield begin
    for keeping in begun:
        end(keeping)


def end(keeping: Keeping) -> None:
    keeping.stop()
    assert keeping.over.wait(10)


def reading(world: World, store: FileLogStore, cursor: str = "", choice: Choice | None = None) -> Reading:
    def nodes(follow: bool, after: Checkpoint) -> Iterator[LogLine]:
        return world.workloads.logs(world.access, world.app_id, follow=follow, after=after)

    place = Place.at(cursor) if cursor else Place()
    return Reading(store, world.app_id, nodes, choice or Choice(), place)


def counter(count: int, pause_ms: int = 20) -> tuple[str, ...]:
    script = f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); usleep {pause_ms * 1000}; done; sleep 1000"
    return ("sh", "-c", script)


def by_replica(lines: list[LogLine]) -> dict[str, list[str]]:
    found = collections.defaultdict(list)
    for line in lines:
        found[line.replica].append(line.text)
    return dict(found)


def test_containers_that_are_gone_a_keeper_that_died_and_a_cursor(
    world: World, store: FileLogStore, keep: Keep
) -> None:
    numbers = [str(number) for number in range(100)]
    keeping = keep()
    first = world.run(counter(100), 2)
    world.start(first)
    rig.until(lambda: store.state(world.app_id).position, 30)
    end(keeping)
    assert not store.kept(world.app_id)
    rest = list(reading(world, store).so_far())
    assert rest, "what nobody keeps is read from the nodes"
    rig.until(lambda: len(list(reading(world, store).so_far())) == 200, 30)
    keeping = keep()
    rig.until(lambda: len(list(store.read(world.app_id))) == 200, 30)
    world.workloads.stop(world.access, first.name)
    second = world.run(counter(1), 1, release=2)
    world.start(second)
    rig.until(lambda: len(list(store.read(world.app_id))) == 201, 30)
    shown = list(reading(world, store).so_far())
    assert sorted(by_replica([line for line, _ in shown]).values()) == [["0"], numbers, numbers]
    assert not [line for line, _ in shown if line.late]
    assert [line.at for line, _ in shown] == sorted(line.at for line, _ in shown)
    for number in (0, 1, 77, 200):
        behind = reading(world, store, shown[number][1].cursor()).so_far()
        assert [line for line, _ in behind] == [line for line, _ in shown[number + 1 :]]
    # A cursor given out while nobody kept leads on behind the same line, now that all is kept.
    seen = [line for line, _ in rest]
    behind = [line for line, _ in reading(world, store, rest[-1][1].cursor()).so_far()]
    assert sorted(map(str, [*map(plain, seen), *map(plain, behind)])) == sorted(str(plain(line)) for line, _ in shown)
    replica = shown[0][0].replica
    assert len(list(reading(world, store, choice=Choice(replica=replica)).so_far(3))) == 3
    end(keeping)


def plain(line: LogLine) -> tuple[str, str, str]:
    return line.at, line.replica, line.text


def test_lines_handed_in_are_in_order_with_the_containers(world: World, store: FileLogStore, keep: Keep) -> None:
    keeping = keep()
    world.start(world.run(counter(100), 1))
    rig.until(lambda: store.state(world.app_id).position, 30)
    for number in range(20):
        at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        store.append(world.app_id, [LogLine(at, "router", "router", "access", f"GET /{number}")])
        keeping.take_in()
        time.sleep(0.02)
    rig.until(lambda: len(list(store.read(world.app_id))) == 120, 30)
    lines = [line for _, line in store.read(world.app_id)]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert [line.text for line in lines if line.service == "router"] == [f"GET /{number}" for number in range(20)]
    end(keeping)


def test_followed_while_it_is_kept_in_order_and_soon(world: World, store: FileLogStore, keep: Keep) -> None:
    keep()
    script = f"i=0; while [ $i -lt {COUNT} ]; do echo $i; i=$((i+1)); usleep {RATE_MS * 1000}; done; sleep 1000"
    rig.until(lambda: store.kept(world.app_id))
    _, followed = reading(world, store).follow()
    world.start(world.run(("sh", "-c", script), 4))
    lines: list[LogLine] = []
    delays: list[float] = []
    deadline = time.monotonic() + 90
    while len(lines) < COUNT * 4 and time.monotonic() < deadline:
        found = followed.poll(1.0)
        now = time.time()
        lines += [line for line, _ in found]
        delays += [now - datetime.datetime.fromisoformat(line.at[:26] + "+00:00").timestamp() for line, _ in found]
    followed.close()
    ordered = [line.at for line in lines if not line.late]  # a busy machine may deliver some too late for that
    assert ordered == sorted(ordered)
    assert list(by_replica(lines).values()) == [[str(number) for number in range(COUNT)]] * 4
    ranked = statistics.quantiles(delays, n=100)
    print(f"added delay: p50 {ranked[49]:.3f} s, p99 {ranked[98]:.3f} s")
