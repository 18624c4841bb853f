# SPDX-License-Identifier: Apache-2.0
"""How long something lasts, by a clock that the test turns."""

from __future__ import annotations

from stackyard.worker.patience import GAP_SECONDS, Patience


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_lasts_is_told_and_what_passed_begins_anew() -> None:
    clock = Clock()
    patience = Patience(clock)
    assert patience.lasting("down", "c", {"a", "b"}, 10) == frozenset()
    clock.now += 9
    assert patience.lasting("down", "c", {"a"}, 10) == frozenset()
    clock.now += 1
    assert patience.lasting("down", "c", {"a", "b"}, 10) == {"a"}


def test_what_was_not_looked_at_for_long_counts_as_new() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.lasting("down", "c", {"a"}, 10)
    clock.now += GAP_SECONDS
    assert patience.lasting("down", "c", {"a"}, 10) == frozenset()


def test_objects_and_kinds_are_told_apart() -> None:
    clock = Clock()
    patience = Patience(clock)
    patience.lasting("down", "c", {"a"}, 10)
    clock.now += 10
    assert patience.lasting("silent", "c", {"a"}, 10) == frozenset()
    assert patience.lasting("down", "d", {"a"}, 10) == frozenset()
    assert patience.lasting("down", "c", {"a"}, 10) == {"a"}
