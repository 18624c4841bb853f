# SPDX-License-Identifier: Apache-2.0
"""Limits and what is in use, also when several want the last one at the same moment."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

import pytest

from stackyard.model import errors
from stackyard.store import Page, Store


def at_once(number: int, action: Callable[[], object]) -> collections.Counter[str]:
    """Do something in several threads; return how often it went which way."""
    outcomes: list[str] = []

    def run() -> None:
        try:
            action()
            outcomes.append("done")
        except errors.StackyardError as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return collections.Counter(outcomes)


def take(store: Store, project: str, default: int) -> None:
    with store.transaction() as tx:
        tx.quotas.take(project, "Cluster", default)


def limit(store: Store, project: str) -> int | None:
    with store.reading() as tx:
        found = tx.quotas.of(project, "Cluster")
    return found.hard_limit if found else None


def test_the_limit_that_was_set_counts_and_goes_to_as_many_only(store: Store) -> None:
    with store.transaction() as tx:
        tx.quotas.set("limited", "Cluster", 5)
    assert at_once(8, lambda: take(store, "limited", 3)) == {"done": 5, "QuotaExceeded": 3}


def test_a_limit_is_set_by_one_only(store: Store) -> None:
    def set_one() -> None:
        with store.transaction() as tx:
            tx.quotas.set("contested", "Cluster", 5)

    assert at_once(6, set_one) == {"done": 1, "Conflict": 5}


def test_what_is_in_use_outlives_the_limit(store: Store) -> None:
    take(store, "user", 9)
    take(store, "user", 9)
    with store.transaction() as tx:
        made = tx.quotas.set("user", "Cluster", 2)
        assert (made.hard_limit, made.in_use, made.updated_at) == (2, 2, None)
    with pytest.raises(errors.QuotaExceeded, match="maximum clusters per project, 2"):
        take(store, "user", 9)
    with store.transaction() as tx:
        tx.quotas.unset("user", "Cluster")
    assert limit(store, "user") is None
    take(store, "user", 3)
    with pytest.raises(errors.QuotaExceeded, match="3"):
        take(store, "user", 3)
    with store.transaction() as tx:
        tx.quotas.give_back("user", "Cluster")
    take(store, "user", 3)


def test_a_limit_is_changed_and_taken_away_only_where_it_was_set(store: Store) -> None:
    with store.transaction() as tx:
        with pytest.raises(errors.NotFound):
            tx.quotas.change("nobody", "Cluster", 5)
        with pytest.raises(errors.NotFound):
            tx.quotas.unset("nobody", "Cluster")
        tx.quotas.set("nobody", "Cluster", 0)
        changed = tx.quotas.change("nobody", "Cluster", 7)
    assert (changed.hard_limit, changed.updated_at is not None) == (7, True)
    assert limit(store, "nobody") == 7


@pytest.mark.parametrize("sort", ["id", "project_id", "hard_limit", "created_at", "updated_at"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_hold_every_limit_once(store: Store, sort: str, descending: bool) -> None:
    with store.transaction() as tx:
        for number in range(5):
            project = f"page-{number}"
            if tx.quotas.of(project, "Cluster") is None:
                tx.quotas.set(project, "Cluster", number % 2)
        tx.quotas.change("page-3", "Cluster", 1)
        every = {quota.id for quota in tx.quotas.listed(None, Page())}
        found: list[int] = []
        marker = None
        while page := tx.quotas.listed(None, Page(2, marker, sort, descending)):
            found += [quota.id or 0 for quota in page]
            marker = str(found[-1])
    assert len(found) == len(every)
    assert set(found) == every
