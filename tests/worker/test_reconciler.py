# SPDX-License-Identifier: Apache-2.0
"""The loop on a noun that counts to a number: what ends it, what delays it, what is told."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import time
from collections.abc import Callable, Sequence

import pytest

from stackyard.model import errors
from stackyard.model.applications import Application
from stackyard.model.phase import Phase, Trigger
from stackyard.model.plan import Action, Wait
from stackyard.model.records import utcnow
from stackyard.store import Store, Transaction
from stackyard.store.applications import Applications
from stackyard.store.leases import Leases
from stackyard.worker import reconciler
from stackyard.worker.faults import Faults
from stackyard.worker.reconciler import Change, Passive, Reconciler


@dataclasses.dataclass(frozen=True)
class Count(Action):
    """Add one."""


class Counter(Passive):
    """Counts to three; `trouble` is called before each count."""

    def __init__(self) -> None:
        self.trouble: Callable[[Application], None] = lambda _: None
        self.counted = 0
        self.ready = True
        self.stays = False
        self.seen: list[int] = []

    def rows(self, tx: Transaction) -> Applications:
        return tx.applications

    def observe(self, record: Application) -> int:
        return int(record.extra.get("count", 0))

    def plan(self, record: Application, seen: int) -> Sequence[Action]:
        if record.phase in (Phase.DELETING, Phase.DELETE_FAILED):
            return [Count()] if self.stays else []
        if seen < 3:
            return [Count()]
        return [] if self.ready else [Wait("waiting for the world", 0.01)]

    def note(self, record: Application, seen: int, plan: Sequence[Action]) -> Change[Application]:
        self.seen.append(seen)
        return Change(dataclasses.replace(record, extra={**record.extra, "seen": seen}))

    def act(self, action: Action, record: Application, seen: int) -> Change[Application]:
        self.trouble(record)
        self.counted += 1
        return Change(
            dataclasses.replace(record, extra={**record.extra, "count": seen + 1}), ("counted", str(seen + 1))
        )


@dataclasses.dataclass
class Bench:
    store: Store
    noun: Counter
    app: Application
    folder: pathlib.Path

    def __post_init__(self) -> None:
        self.leases = Leases(self.store, self.noun.rows, 5.0)
        self.loop = Reconciler(self.noun, self.leases, look_seconds=30, faults=Faults(self.folder))

    def work(self) -> None:
        with self.store.saving() as tx:
            tx.applications.nudge(self.app.id)
        taken = self.leases.acquire()
        assert taken is not None
        self.loop.work(*taken)

    def now(self) -> Application:
        with self.store.reading() as tx:
            return tx.applications.get(self.app.id)

    def history(self) -> list[tuple[str, str]]:
        with self.store.reading() as tx:
            return [(event.kind, event.message) for event in tx.events.of([self.app.id])]

    def due_in(self) -> float:
        return (self.leases.next_due() or 0) - time.time()


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    store = Store(f"sqlite:///{tmp_path}/db")
    store.migrate()
    with store.transaction() as tx:
        app = tx.applications.insert(Application(project_id="p", name="a"))
    return Bench(store, Counter(), app, tmp_path)


def test_it_goes_on_until_the_plan_is_empty_and_looks_again_later(bench: Bench) -> None:
    bench.work()
    assert (bench.now().phase, bench.now().observed_generation, bench.noun.counted) == (Phase.READY, 1, 3)
    assert [kind for kind, _ in bench.history()] == ["created", "counted", "counted", "counted", "reached"]
    assert 25 < bench.due_in() <= 30


def test_giving_up_fails_the_phase_with_the_true_cause_until_the_intent_changes(bench: Bench) -> None:
    def broken(_: Application) -> None:
        raise errors.GiveUp("the disk is made of cheese")

    bench.noun.trouble = broken
    bench.work()
    assert (bench.now().phase, bench.now().status_reason) == (Phase.CREATE_FAILED, "the disk is made of cheese")
    bench.noun.trouble = lambda _: None
    bench.work()
    assert bench.now().phase is Phase.CREATE_FAILED
    with bench.store.transaction() as tx:
        tx.applications.change(bench.now(), Trigger.CHANGE, "try again")
    bench.work()
    assert (bench.now().phase, bench.now().status_reason) == (Phase.READY, None)


def test_what_does_not_answer_is_tried_again_with_growing_pauses(bench: Bench) -> None:
    def silent(_: Application) -> None:
        raise errors.Unavailable("the engine does not answer")

    bench.noun.trouble = silent
    pauses = []
    for _ in range(6):
        bench.work()
        pauses.append(bench.due_in())
    assert bench.now().phase is Phase.CREATING
    assert bench.now().status_reason == "the engine does not answer"
    assert pauses[-1] > 4 * pauses[0]


def test_an_unexpected_error_is_told_and_tried_again(bench: Bench) -> None:
    def bug(_: Application) -> None:
        raise ZeroDivisionError("oops")

    bench.noun.trouble = bug
    bench.work()
    assert bench.now().status_reason == "ZeroDivisionError: oops"
    bench.noun.trouble = lambda _: None
    bench.work()
    assert bench.now().phase is Phase.READY


def test_the_deadline_belongs_to_the_loop_and_names_what_was_being_done(bench: Bench) -> None:
    bench.noun.ready = False
    with bench.store.transaction() as tx:
        soon = utcnow() + datetime.timedelta(seconds=0.2)
        tx.applications.change(bench.now(), Trigger.CHANGE, "hurry", deadline=soon)
    bench.work()
    assert bench.now().phase is Phase.CREATE_FAILED
    assert bench.now().status_reason == "timed out while waiting for the world"


def test_a_row_that_only_waits_is_given_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "HOLD_SECONDS", 0.05)
    bench.noun.ready = False
    bench.work()
    assert (bench.now().phase, bench.now().status_reason) == (Phase.CREATING, "waiting for the world")
    bench.noun.ready = True
    bench.work()
    assert bench.now().phase is Phase.READY


def test_a_wish_that_comes_during_the_work_is_planned_for(bench: Bench) -> None:
    def change_once(record: Application) -> None:
        if record.generation == 1:
            with bench.store.transaction() as tx:
                tx.applications.change(record, Trigger.CHANGE, "more", description="new")

    bench.noun.trouble = change_once
    bench.work()
    assert (bench.now().phase, bench.now().generation, bench.now().observed_generation) == (Phase.READY, 2, 2)
    assert bench.now().description == "new"


def test_deleting_removes_the_row_and_keeps_its_history(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.applications.change(bench.now(), Trigger.DELETE, "not wanted")
    bench.work()
    with pytest.raises(errors.NotFound):
        bench.now()
    assert bench.history()[-1] == ("gone", "application a is gone")


def test_what_each_look_tells_is_kept_whatever_comes_of_it(bench: Bench) -> None:
    def silent(_: Application) -> None:
        raise errors.Unavailable("the engine does not answer")

    bench.work()
    assert bench.noun.seen == [0, 1, 2, 3]
    bench.noun.seen.clear()
    with bench.store.transaction() as tx:
        tx.applications.change(bench.now(), Trigger.CHANGE, "more")
    bench.noun.trouble = silent
    bench.noun.ready = True
    bench.noun.observe = lambda record: 2  # type: ignore[method-assign]
    bench.work()
    assert bench.now().extra["seen"] == 2


def test_an_idle_object_is_only_glanced_at(bench: Bench) -> None:
    def broken(_: Application) -> None:
        raise errors.GiveUp("the disk is made of cheese")

    bench.noun.trouble = broken
    bench.work()
    bench.noun.glance = lambda record: Change(dataclasses.replace(record, extra={"glanced": 1}))  # type: ignore[method-assign]
    bench.work()
    now = bench.now()
    assert (now.extra, now.status_reason) == ({"glanced": 1}, "the disk is made of cheese")
    assert 25 < bench.due_in() <= 30


def test_what_gives_up_while_nothing_is_in_progress_is_tried_again_with_growing_pauses(bench: Bench) -> None:
    def broken(_: Application) -> None:
        raise errors.GiveUp("the disk is made of cheese")

    bench.work()
    bench.noun.trouble = broken
    bench.noun.observe = lambda record: 1  # type: ignore[method-assign]
    pauses = []
    for _ in range(5):
        bench.work()
        pauses.append(bench.due_in())
    assert (bench.now().phase, bench.now().status_reason) == (Phase.READY, "the disk is made of cheese")
    assert [kind for kind, _ in bench.history()].count("failed") == 0
    assert pauses[-1] > 2 * pauses[0] > 0


def test_what_disturbed_a_finished_object_is_told_only_while_it_lasts(bench: Bench) -> None:
    bench.work()
    observe = bench.noun.observe

    def silent(_: Application) -> int:
        raise errors.Unavailable("the engine does not answer")

    bench.noun.observe = silent  # type: ignore[method-assign]
    bench.work()
    assert bench.now().status_reason == "the engine does not answer"
    bench.noun.observe = observe  # type: ignore[method-assign]
    bench.work()
    assert (bench.now().phase, bench.now().status_reason) == (Phase.READY, None)


@pytest.mark.parametrize(
    "error", [errors.Unavailable("it hangs"), errors.GiveUp("it hangs"), errors.Retry("it hangs", 0)]
)
def test_a_deletion_that_is_late_or_refused_is_told_once_and_goes_on(bench: Bench, error: Exception) -> None:
    def stuck(_: Application) -> None:
        raise error

    bench.work()
    bench.noun.trouble, bench.noun.stays = stuck, True
    with bench.store.transaction() as tx:
        late = utcnow() - datetime.timedelta(seconds=1)
        tx.applications.change(bench.now(), Trigger.DELETE, "not wanted", deadline=late)
    for _ in range(4):
        bench.work()
        assert bench.now().phase is Phase.DELETE_FAILED
    assert [kind for kind, _ in bench.history()].count("failed") == 1
    assert bench.now().status_reason == "it hangs"
    bench.noun.stays = False
    bench.work()
    assert bench.history()[-1] == ("gone", "application a is gone")


def test_one_rule_of_deadlines_for_what_waits_and_what_does_not_answer(bench: Bench) -> None:
    def silent(_: Application) -> None:
        raise errors.Unavailable("the engine does not answer")

    bench.noun.trouble = silent
    with bench.store.transaction() as tx:
        soon = utcnow() + datetime.timedelta(seconds=0.1)
        tx.applications.change(bench.now(), Trigger.CHANGE, "hurry", deadline=soon)
    bench.work()
    assert bench.now().phase is Phase.CREATING
    time.sleep(0.1)
    bench.work()
    assert (bench.now().phase, bench.now().status_reason) == (Phase.CREATE_FAILED, "timed out while Count")


def test_one_that_waits_for_long_is_asked_less_often(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "HOLD_SECONDS", 0.0)
    bench.noun.ready = False
    pauses = []
    for _ in range(8):
        bench.work()
        pauses.append(bench.due_in())
    assert pauses[0] < 0.2
    assert 0.5 < pauses[-1] <= reconciler.PATIENT_SECONDS
