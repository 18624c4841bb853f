# SPDX-License-Identifier: Apache-2.0
"""Builds end when their time is up, or when nobody wants them any more."""

from __future__ import annotations

import threading

import pytest

from stackyard.drivers.builders import deadlines
from stackyard.drivers.builders.deadlines import Deadline
from stackyard.model import errors


def cut_off(deadline: Deadline) -> None:
    """Wait for the cut as a read would wait for an engine."""
    silent = threading.Event()
    with deadline.cutting(silent.set):
        assert silent.wait(60)


def test_time_is_up() -> None:
    deadline = Deadline(0.05)
    assert not deadline.passed
    with pytest.raises(errors.GiveUp, match=r"did not finish within 0\.05 seconds"):
        cut_off(deadline)
    assert deadline.passed


def test_nobody_wants_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "ASK_SECONDS", 0.01)
    answers: list[bool | errors.StackyardError] = [False, errors.Unavailable("away"), True]

    def unwanted() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, errors.StackyardError):
            raise answer
        return answer

    deadline = Deadline(600, unwanted)
    with pytest.raises(errors.GiveUp, match="what it is for is being removed"):
        cut_off(deadline)
    assert deadline.passed
    assert answers == []


def test_what_ends_in_time_is_left_alone() -> None:
    deadline, cut = Deadline(600), threading.Event()
    with deadline.cutting(cut.set):
        pass
    assert not deadline.passed
    assert not cut.is_set()
