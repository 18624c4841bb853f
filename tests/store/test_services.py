# SPDX-License-Identifier: Apache-2.0
"""Heartbeats: a row for each host, whoever beats first."""

from __future__ import annotations

import datetime
import threading

from stackyard.model.records import utcnow
from stackyard.model.services import DOWN_SECONDS, Service
from stackyard.store import Store
from stackyard.worker.heartbeat import Heartbeat


def of(store: Store, host: str) -> Service:
    with store.reading() as tx:
        (found,) = [service for service in tx.services.list() if service.host == host]
    return found


def test_processes_of_a_host_beat_into_one_row(store: Store) -> None:
    hearts = [Heartbeat(store, host="shared") for _ in range(6)]
    threads = [threading.Thread(target=heart.beat) for heart in hearts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of(store, "shared").report_count == 6


def test_beating_again_uses_up_no_id(store: Store) -> None:
    for host in ("a", "a", "b", "a", "b", "c"):
        Heartbeat(store, host=host).beat()
    first = of(store, "a").id
    assert [of(store, host).id for host in ("a", "b", "c")] == [first, first + 1, first + 2]


def test_a_heart_beats_until_it_is_stopped(store: Store) -> None:
    heart = Heartbeat(store, seconds=0.05, host="alive")
    thread = heart.start()
    deadline = utcnow() + datetime.timedelta(seconds=30)
    while utcnow() < deadline:
        with store.reading() as tx:
            if any(service.host == "alive" and service.report_count >= 3 for service in tx.services.list()):
                break
    heart.stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    service = of(store, "alive")
    assert service.report_count >= 3
    assert service.up(utcnow())
    assert not service.up(utcnow() + datetime.timedelta(seconds=DOWN_SECONDS + 1))


def test_a_database_that_does_not_answer_does_not_end_the_heart(store: Store) -> None:
    Heartbeat(Store("sqlite:////nowhere/at/all.db"), host="lost").beat()
