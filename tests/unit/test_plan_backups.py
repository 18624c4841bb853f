# SPDX-License-Identifier: Apache-2.0
"""The planner of backups in a small world that may be interrupted anywhere, and which scheduled ones are kept."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.model.backups import Backup, BackupObserved, BackupRule, Cause, Form, Step, Wish
from stackyard.model.phase import FAILED, Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import backups as steps
from stackyard.model.ports import Replica

BEGAN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = BEGAN.timestamp()
REPLICA = Replica("t", "r", "db", 1, "n1", "running")
DUMPS = BackupRule(command=("dump",), restore=("load",), check=("check",))


def backup(form: Form = Form.DUMP, **fields: object) -> Backup:
    kept: dict[str, object] = {"number": 1, "created_at": BEGAN, **fields}
    told = {"project_id": "p", "name": "db", "app_id": "a", "environment": "production", "service": "db"}
    return Backup(form=form, release=1, **told, **kept)  # type: ignore[arg-type]


def made(form: Form = Form.DUMP, **fields: object) -> Backup:
    told = {"phase": Phase.UPDATING, "observed": BackupObserved(digest="d"), **fields}
    return backup(form, **told)


class World:
    """A service with volumes, and what a worker makes of a backup; every action may be lost just before its save."""

    def __init__(self, record: Backup) -> None:
        self.record = record
        self.scale: int | None = None
        self.beside = self.saved = False
        self.content = record.made
        self.volume = "now"
        self.started: list[str] = []

    def seen(self, **more: object) -> steps.Seen:
        living = 0 if self.scale == 0 else 1
        look = steps.Seen(
            DUMPS if self.record.form is Form.DUMP else BackupRule(),
            replica=REPLICA if living else None,
            living=living,
            scales={"db": self.scale},
            node="n1",
            content=self.content,
            now=NOW,
        )
        return dataclasses.replace(look, **more)  # type: ignore[arg-type]

    def plan(self, **more: object) -> Action | None:
        return next(iter(steps.plan_backup(self.record, self.seen(**more))), None)

    def see(self, **observed: object) -> None:
        told = dataclasses.replace(self.record.observed, **observed)  # type: ignore[arg-type]
        self.record = dataclasses.replace(self.record, observed=told)

    def step(self, step: Step, **observed: object) -> None:
        self.see(step=step, step_of=self.record.generation, **observed)

    def do(self, action: Action, *, saved: bool) -> None:
        """Perform an action; when it is not saved, only the world has changed."""
        kept = self.record
        match action:
            case steps.PlaceBackup():
                self.step(Step.PLACED, node=action.node)
            case steps.TakeBackup():
                self.content = True
                self.step(Step.DONE, digest="d")
            case steps.FeedBackup():
                self.volume = "backup"
                self.step(Step.DONE)
            case steps.TryBackup():
                self.beside = True
                self.step(Step.DONE, verified_at=NOW)
            case steps.UnpackBackup():
                self.beside = True
                self.step(Step.UNPACKED)
            case steps.HoldService():
                if saved:  # in one transaction with the save
                    self.scale = 0
                    self.see(held=dict(action.scales))
            case steps.SaveVolumes():
                assert self.scale == 0
                self.saved = self.volume == "now"
                self.step(Step.SAVED)
            case steps.ReplaceVolumes():
                assert self.scale == 0
                assert self.saved
                assert self.beside
                self.volume = "backup"
                self.step(Step.DONE)
            case steps.ReleaseService():
                if self.scale == 0:
                    self.scale = self.record.observed.held["db"]
                self.see(held={})
            case steps.TidyBackup():
                self.beside = False
                self.see(node="")
            case steps.DeleteContent():
                self.content = False
            case _:
                raise AssertionError(action)
        if not saved:
            self.record = kept

    def run(self, kills: list[bool]) -> None:
        """Go on until nothing is left, losing saves where the list says so."""
        left = list(kills)
        for _ in range(100):
            action = self.plan()
            if action is None:
                return
            self.do(action, saved=not (left and left.pop()))
        raise AssertionError("it does not come to an end")


@given(st.sampled_from(Form), st.lists(st.booleans(), max_size=20))
def test_making_one_ends_with_its_content_and_nothing_else(form: Form, kills: list[bool]) -> None:
    world = World(backup(form))
    world.run(kills)
    assert world.content
    assert world.record.made
    assert not world.record.observed.node
    assert world.volume == "now"


@given(st.sampled_from(Form), st.sampled_from([Wish.VERIFY, Wish.RESTORE]), st.lists(st.booleans(), max_size=20))
def test_what_is_asked_of_one_is_done_and_tidied_up(form: Form, wish: Wish, kills: list[bool]) -> None:
    world = World(made(form, wish=wish))
    world.scale = 3
    world.run(kills)
    assert world.volume == ("backup" if wish is Wish.RESTORE else "now")
    assert (world.scale, world.beside, world.record.observed.node, world.record.observed.held) == (3, False, "", {})


@given(st.integers(0, 8), st.sampled_from([Phase.UPDATE_FAILED, Phase.DELETING]))
def test_one_that_fails_or_goes_half_way_gives_the_service_back(count: int, phase: Phase) -> None:
    world = World(made(Form.ARCHIVE, wish=Wish.RESTORE))
    for _ in range(count):
        action = world.plan()
        if action is None:
            break
        world.do(action, saved=True)
    world.record = dataclasses.replace(world.record, phase=phase, generation=world.record.generation + 1)
    world.run([])
    assert (world.scale, world.beside) == (None, False)
    assert world.content == (phase in FAILED)
    assert steps.over(world.record) == (phase is Phase.UPDATE_FAILED)


def test_the_service_is_waited_for_but_not_for_long() -> None:
    world = World(backup())
    assert isinstance(world.plan(replica=None), Wait)
    later = world.plan(replica=None, now=NOW + steps.PATIENCE_SECONDS + 1)
    assert later == steps.FailBackup("no replica of db is ready within 120 s")
    assert isinstance(World(backup(Form.ARCHIVE)).plan(node=""), Wait)


def test_what_can_not_be_done_is_said() -> None:
    assert World(backup()).plan(rule=None) == steps.FailBackup("the release that serves has no service db")
    assert World(backup()).plan(rule=None, lack="gone") == steps.FailBackup("gone")
    world = World(made(Form.ARCHIVE, wish=Wish.RESTORE))
    world.step(Step.UNPACKED, node="n1")
    assert world.plan(reachable=False) == steps.FailBackup("node n1, where it was worked on, is gone")
    world.see(held={"db": None})
    failed = world.plan(scales={"db": 2}, living=2)
    assert isinstance(failed, steps.FailBackup)
    assert "scaled while" in failed.reason


def test_a_flaw_is_a_failure_only_when_all_is_tidied_up() -> None:
    world = World(made(wish=Wish.VERIFY))
    world.step(Step.DONE, node="n1", flaw="no such table")
    assert world.plan() == steps.TidyBackup()
    world.see(node="")
    assert world.plan() == steps.FailBackup("verification failed: no such table")


def test_what_was_there_comes_back_where_the_content_can_not_be_put_in_place() -> None:
    world = World(made(Form.ARCHIVE, wish=Wish.RESTORE))
    world.step(Step.BROKEN, node="n1", held={"db": None}, trouble="no room")
    world.scale = 0
    assert world.plan() == steps.PutBack()
    world.step(Step.BACK)
    assert world.plan() == steps.FailBackup("no room; what its volumes held before is in place again")


def test_a_restored_service_that_does_not_come_back_is_said() -> None:
    world = World(made(Form.ARCHIVE, wish=Wish.RESTORE))
    world.step(Step.DONE)
    assert isinstance(world.plan(settled=False), Wait)
    failed = world.plan(ill="shop has failed: db keeps stopping")
    assert failed == steps.FailBackup("its content is restored, but shop has failed: db keeps stopping")


def scheduled(number: int, how: str) -> Backup:
    phase = {"good": Phase.READY, "failed": Phase.CREATE_FAILED, "flawed": Phase.UPDATE_FAILED}.get(how, Phase.CREATING)
    told = BackupObserved(digest="" if how in ("failed", "making") else "d", flaw="x" if how == "flawed" else "")
    cause = Cause.SCHEDULE
    return backup(number=number, phase=phase, observed=told, cause=cause)


HOW = st.lists(st.sampled_from(["good", "good", "failed", "flawed", "making"]), max_size=12)


@given(HOW, st.integers(1, 4))
def test_the_newest_good_ones_are_kept(how: list[str], keep: int) -> None:
    there = [scheduled(number, word) for number, word in enumerate(how, start=1)]
    gone = {each.number for each in steps.surplus(there, keep)}
    good = [each.number for each in there if each.good]
    assert not gone & set(good[-keep:])
    assert set(good[:-keep]) <= gone
    assert not gone & {each.number for each in there if each.phase is Phase.CREATING}
    left = [each for each in there if each.number not in gone and each.phase in FAILED]
    assert len(left) <= keep


@pytest.mark.parametrize("cause", list(Cause))
def test_what_somebody_asked_for_stays(cause: Cause) -> None:
    there = [dataclasses.replace(scheduled(number, "good"), cause=cause) for number in range(1, 6)]
    assert len(steps.surplus(there, 2)) == (3 if cause is Cause.SCHEDULE else 0)
    busy = [dataclasses.replace(each, phase=Phase.UPDATING) for each in there]
    assert steps.surplus(busy, 2) == []
