# SPDX-License-Identifier: Apache-2.0
"""The lease proof: 8 processes, 120 objects × 4 steps, 15 random SIGKILLs, steps longer than the lease."""

from __future__ import annotations

import collections
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from stackyard.model import errors
from stackyard.model.applications import Application
from stackyard.model.clusters import Cluster
from stackyard.model.phase import Phase, Trigger
from stackyard.store import Store
from stackyard.store.leases import Leases
from tests.worker.databases import SERVERS, reachable

STEPPER = str(pathlib.Path(__file__).with_name("stepper.py"))
OBJECTS, STEPS, PROCESSES, KILLS = 120, 4, 8, 15


@pytest.fixture(scope="module", params=sorted(SERVERS))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with SERVERS[request.param](reachable(tmp_path_factory.mktemp(request.param))) as url:
        store = Store(url)
        store.migrate()
        yield store
        store.engine.dispose()


def spawn(store: Store) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, STEPPER, store.url], stdout=subprocess.DEVNULL)


def test_every_object_finishes_and_no_step_is_saved_twice(store: Store) -> None:
    with store.transaction() as tx:
        apps = [tx.applications.insert(Application(project_id="p", name=f"a{n}")) for n in range(OBJECTS)]
    processes = [spawn(store) for _ in range(PROCESSES)]
    try:
        killed = 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if killed < KILLS:
                time.sleep(random.uniform(0.05, 0.2))
                victim = random.randrange(PROCESSES)
                processes[victim].send_signal(signal.SIGKILL)
                processes[victim].wait()
                processes[victim] = spawn(store)
                killed += 1
            with store.reading() as tx:
                ready = [app for app in tx.applications.list("p") if app.phase is Phase.READY]
            if len(ready) == OBJECTS and killed == KILLS:
                break
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with store.reading() as tx:
        saved = collections.Counter(
            (event.object_id, event.message)
            for event in tx.events.of([app.id for app in apps], limit=10_000)
            if event.kind == "step"
        )
    assert killed == KILLS
    assert len(ready) == OBJECTS
    assert saved == {(app.id, str(step)): 1 for app in apps for step in range(1, STEPS + 1)}


def cluster(store: Store, name: str) -> Cluster:
    with store.transaction() as tx:
        return tx.clusters.insert(Cluster(project_id="p", name=name, user_id="u", template_id="t", coe="swarm"))


def finish(leases: Leases) -> None:
    while taken := leases.acquire():
        leases.remove(*taken)


def test_a_save_after_the_lease_was_lost_is_refused(store: Store) -> None:
    cluster(store, "fenced")
    slow = Leases(store, lambda tx: tx.clusters, 0.0)
    quick = Leases(store, lambda tx: tx.clusters, 30.0)
    lease, record = slow.acquire()
    newer, _ = quick.acquire()
    with pytest.raises(errors.Fenced):
        slow.save(lease, record, Trigger.REACHED)
    with pytest.raises(errors.Fenced):
        slow.release(lease, 0)
    with pytest.raises(errors.Fenced):
        slow.renew(lease)
    quick.remove(newer, record)


def test_intent_changed_while_a_worker_saves_is_kept_and_looked_at_at_once(store: Store) -> None:
    leases = Leases(store, lambda tx: tx.clusters, 30.0)
    cluster(store, "changed")
    lease, record = leases.acquire()
    with store.transaction() as tx:
        tx.clusters.change(record, Trigger.CHANGE, "resize", labels={"a": "b"})
    saved = leases.save(lease, record, Trigger.REACHED, ("reached", "done"))
    leases.release(lease, after=1e6)
    assert (saved.phase, saved.generation, saved.observed_generation) == (Phase.CREATING, 2, 0)
    assert saved.labels == {"a": "b"}
    again = leases.acquire()
    assert again is not None
    assert again[1].generation == 2
    leases.remove(*again)


def test_a_nudge_during_the_work_is_not_lost(store: Store) -> None:
    leases = Leases(store, lambda tx: tx.clusters, 30.0)
    record = cluster(store, "nudged")
    lease, _ = leases.acquire()
    with store.transaction() as tx:
        tx.clusters.nudge(record.id)
    leases.release(lease, after=1e6)
    again = leases.acquire()
    assert again is not None
    leases.remove(*again)


def test_a_lease_renewed_too_late_does_not_lock_the_row(store: Store) -> None:
    leases = Leases(store, lambda tx: tx.clusters, 30.0)
    cluster(store, "renewed")
    lease, _ = leases.acquire()
    leases.release(lease, after=0)
    with pytest.raises(errors.Fenced):
        leases.renew(lease)
    again = leases.acquire()
    assert again is not None
    leases.remove(*again)


def test_two_at_once_never_take_the_same_row(store: Store) -> None:
    leases = Leases(store, lambda tx: tx.clusters, 30.0)
    wanted = {cluster(store, f"c{n}").id for n in range(20)}
    taken: list[str] = []

    def take() -> None:
        while found := leases.acquire():
            taken.append(found[0].object_id)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted)


def test_the_last_of_a_quota_goes_to_one_only(store: Store) -> None:
    outcomes: list[str] = []

    def take() -> None:
        try:
            with store.transaction() as tx:
                tx.quotas.take("busy", "Cluster", default=3)
            outcomes.append("got one")
        except errors.QuotaExceeded:
            outcomes.append("refused")

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collections.Counter(outcomes) == {"got one": 3, "refused": 5}
