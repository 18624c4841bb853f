# SPDX-License-Identifier: Apache-2.0
"""Whose logs are kept, from when on and until when, and what is heard on the way. Files are real, nodes are not."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from stackyard.drivers.logs.files import FileLogStore
from stackyard.model import errors
from stackyard.model.applications import Application, Deployment
from stackyard.model.clusters import Cluster, ClusterObserved, Node
from stackyard.model.logs import Checkpoint, LogLine, stamp
from stackyard.model.phase import Phase, Trigger
from stackyard.model.ports import ClusterAccess
from stackyard.model.records import utcnow
from stackyard.store import Store
from stackyard.store.leases import Leases
from stackyard.worker.collector import Collector
from tests.worker.open_authorities import OpenAuthorities


class Followed:
    """A log into which a test puts lines."""

    def __init__(self) -> None:
        self.waiting: list[LogLine] = []
        self.heard = False
        self.closed = threading.Event()

    def poll(self, timeout: float) -> list[LogLine]:
        self.closed.wait(0.01)
        found, self.waiting = self.waiting, []
        return found

    def add(self, lines: Sequence[LogLine]) -> None:
        self.waiting += lines

    def changed(self) -> bool:
        heard, self.heard = self.heard, False
        return heard

    def close(self) -> None:
        self.closed.set()


class Workloads:
    """Opens logs, newest last; or breaks as it is told."""

    def __init__(self) -> None:
        self.opened: list[tuple[ClusterAccess, Followed]] = []
        self.broken: errors.StackyardError | None = None

    def logs(self, access: ClusterAccess, app_id: str, *, follow: bool, after: Checkpoint) -> Followed:
        if self.broken:
            raise self.broken
        self.opened.append((access, Followed()))
        return self.opened[-1][1]


class Bench:
    """A deployment with a release, its cluster, and collectors as two worker processes would have them."""

    def __init__(self, folder: pathlib.Path, release: int = 1) -> None:
        self.store = Store(f"sqlite:///{folder}/db")
        self.store.migrate()
        self.logs = FileLogStore(folder / "lines")
        self.workloads = Workloads()
        self.authorities = OpenAuthorities(folder)
        self.begun: list[Collector] = []
        fields: dict[str, Any] = {"project_id": "p", "name": "shop"}
        node = Node("n1", "g", "master", "10.0.0.2", "ready")
        seen = ClusterObserved(nodes=(node,))
        with self.store.transaction() as tx:
            made = Cluster(user_id="u", template_id="t", coe="swarm", secrets="s", observed=seen, **fields)
            self.cluster = tx.clusters.insert(made)
            app = tx.applications.insert(Application(project_name="demo", **fields))
            place = Deployment(app_id=app.id, cluster_id=self.cluster.id, phase=Phase.READY, release=release, **fields)
            self.place = tx.deployments.insert(place)

    def collector(self) -> Collector:
        self.begun.append(Collector(self.store, self.authorities, self.workloads, self.logs))  # type: ignore[arg-type]
        return self.begun[-1]

    def kept(self) -> list[str]:
        return [line.text for _, line in self.logs.read(self.place.workload_id)]

    def release(self) -> None:
        with self.store.transaction() as tx:
            tx.deployments.change(self.place, Trigger.CHANGE, "release 1 asked for", deadline=utcnow(), release=1)


@pytest.fixture
def bench(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(tmp_path, getattr(request, "param", 1))
    yield made
    for collector in made.begun:
        collector.stop()


def line(number: int) -> LogLine:
    return LogLine(stamp(time.time()), "web", "web.1", "stdout", f"line {number}")


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("bench", [0], indirect=True)
def test_lines_of_what_was_released_are_kept(bench: Bench) -> None:
    collector = bench.collector()
    collector.look()
    assert not bench.workloads.opened, "nothing was released yet"
    bench.release()
    collector.look()
    until(lambda: bench.workloads.opened)
    bench.workloads.opened[0][1].add([line(1), line(2)])
    until(lambda: bench.kept() == ["line 1", "line 2"])


def test_one_process_keeps_and_another_goes_on_when_it_ends(bench: Bench) -> None:
    first, second = bench.collector(), bench.collector()
    first.look()
    until(lambda: len(bench.workloads.opened) == 1)
    second.look()
    assert len(bench.workloads.opened) == 1
    first.stop()
    until(lambda: not bench.logs.kept(bench.place.workload_id))
    second.look()
    until(lambda: len(bench.workloads.opened) == 2)


def test_other_nodes_are_followed_anew(bench: Bench) -> None:
    collector = bench.collector()
    collector.look()
    until(lambda: bench.workloads.opened)
    more = Node("n2", "g", "worker", "10.0.0.3", "ready")
    observed = dataclasses.replace(bench.cluster.observed, nodes=(*bench.cluster.observed.nodes, more))
    leases = Leases(bench.store, lambda tx: tx.clusters, 5)
    lease, record = leases.acquire()  # type: ignore[misc]
    leases.save(lease, dataclasses.replace(record, observed=observed))
    for _ in range(2):  # the old keeping ends at one look, the new one begins at the next
        collector.look()
        until(lambda: len(bench.workloads.opened) == 2 or not bench.logs.kept(bench.place.workload_id))
    collector.look()
    until(lambda: len(bench.workloads.opened) == 2)
    assert [node.name for node in bench.workloads.opened[1][0].nodes] == ["n1", "n2"]
    assert bench.workloads.opened[0][1].closed.is_set()


def test_lines_go_with_the_deployment(bench: Bench) -> None:
    collector = bench.collector()
    collector.look()
    until(lambda: bench.workloads.opened)
    bench.workloads.opened[0][1].add([line(1)])
    until(bench.kept)
    with bench.store.transaction() as tx:
        tx.connection.execute(tx.deployments.table.delete())
    until(lambda: collector.look() or bench.logs.ids() == [])


def test_what_can_not_be_followed_is_tried_again_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackyard.worker.collector.PAUSE_SECONDS", 0.2)
    bench.workloads.broken = errors.Unavailable("no node answers")
    collector = bench.collector()
    collector.look()
    until(lambda: not bench.logs.kept(bench.place.workload_id))
    bench.workloads.broken = None
    until(lambda: collector.look() or bench.workloads.opened)


def test_lines_that_others_hand_in_are_kept_too(bench: Bench) -> None:
    collector = bench.collector()
    collector.look()
    until(lambda: bench.workloads.opened)
    bench.logs.append(bench.place.workload_id, [LogLine(stamp(time.time()), "router", "router", "access", "GET /")])
    until(lambda: collector.take_in() or bench.kept() == ["GET /"])


def test_a_container_that_changes_makes_its_deployment_due(bench: Bench) -> None:
    collector = bench.collector()
    collector.look()
    until(lambda: bench.workloads.opened)
    with bench.store.transaction() as tx:
        tx.connection.execute(tx.deployments.table.update().values(due=time.time() + 1000))
    collector.take_in()
    assert due(bench) > 900
    bench.workloads.opened[0][1].heard = True
    collector.take_in()
    assert due(bench) <= 0


def due(bench: Bench) -> float:
    return (Leases(bench.store, lambda tx: tx.deployments, 5).next_due() or 0) - time.time()
