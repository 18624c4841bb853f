# SPDX-License-Identifier: Apache-2.0
"""The look-out for machines: what makes a cluster due, how often, and what happens when it ends."""

from __future__ import annotations

import pathlib
import threading
import time
from collections.abc import Iterator

import pytest

from stackyard.drivers.fake import FakeMachines
from stackyard.model import errors
from stackyard.model.clusters import Cluster
from stackyard.store import Store
from stackyard.store.leases import Leases
from stackyard.worker import watch
from stackyard.worker.watch import Watch


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    store = Store(f"sqlite:///{tmp_path}/db")
    store.migrate()
    return store


def cluster(store: Store, due_in: float = 1000) -> str:
    with store.transaction() as tx:
        made = tx.clusters.insert(Cluster(project_id="p", name="c", user_id="u", template_id="t", coe="swarm"))
        tx.connection.execute(tx.clusters.table.update().values(due=time.time() + due_in))
        return made.id


def due_in(store: Store) -> float:
    return (Leases(store, lambda tx: tx.clusters, 5).next_due() or 0) - time.time()


class Script:
    """A look-out that tells what is in a list of lists, one list for each time that it is asked for."""

    def __init__(self, *told: list[str | Exception]) -> None:
        self.told = list(told)
        self.asked = 0

    def watch(self) -> Iterator[str]:
        self.asked += 1
        for each in self.told.pop(0) if self.told else []:
            if isinstance(each, Exception):
                raise each
            yield each


def test_a_machine_that_changes_makes_its_cluster_due_now(store: Store) -> None:
    ident = cluster(store)
    Watch(Script([ident]), store).follow()  # type: ignore[arg-type]
    assert due_in(store) <= 0


def test_many_changes_at_once_cost_one_look_now_and_one_a_second_later(store: Store) -> None:
    ident = cluster(store)
    Watch(Script([ident] * 20), store).follow()  # type: ignore[arg-type]
    assert due_in(store) <= 0, "what is due already is not put off"
    leases = Leases(store, lambda tx: tx.clusters, 5)
    following = Watch(Script([ident] * 2, [ident] * 20), store)  # type: ignore[arg-type]
    following.follow()
    lease, _ = leases.acquire()  # type: ignore[misc]
    following.follow()
    leases.release(lease, after=1000)
    assert 0 < due_in(store) <= 1.0, "what happened during the work is looked at, once, and soon"


def test_a_change_during_the_work_is_not_lost(store: Store) -> None:
    ident = cluster(store, due_in=0)
    leases = Leases(store, lambda tx: tx.clusters, 5)
    lease, _ = leases.acquire()  # type: ignore[misc]
    Watch(Script([ident]), store).follow()  # type: ignore[arg-type]
    leases.release(lease, after=1000)
    assert due_in(store) <= 0


def test_a_cluster_that_is_gone_is_no_trouble(store: Store) -> None:
    cluster(store)
    Watch(Script(["no-such-cluster"]), store).follow()  # type: ignore[arg-type]
    assert due_in(store) > 900


@pytest.mark.parametrize("error", [errors.Unavailable("the Engine is gone"), ZeroDivisionError("a bug")])
def test_after_the_end_of_the_look_out_it_begins_anew_and_looks_at_all(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(watch, "FIRST_PAUSE", 0.01)
    cluster(store)
    script = Script([error], [error])
    Watch(script, store).start()  # type: ignore[arg-type]
    deadline = time.monotonic() + 5
    while (script.asked < 3 or due_in(store) > 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert script.asked >= 3
    assert due_in(store) <= 0


def test_it_follows_the_fake_of_the_port(store: Store) -> None:
    ident = cluster(store)
    machines = FakeMachines()
    machines.ensure_network(ident)
    following = threading.Thread(target=Watch(machines, store).follow)
    following.start()
    while not machines._watching:
        time.sleep(0.01)
    machines._tell(ident)
    machines.end_watch()
    following.join(5)
    assert due_in(store) <= 0
