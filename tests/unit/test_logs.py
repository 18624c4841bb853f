# SPDX-License-Identifier: Apache-2.0
"""Log lines of many containers come out in the order of their times, whatever order they came in."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.workloads.logs import LARGEST, LOOKAHEAD, Reorder, merged
from stackyard.model.logs import LogLine

WINDOW = 0.2


def at(seconds: float) -> str:
    return f"2026-01-01T00:{int(seconds) // 60:02d}:{int(seconds) % 60:02d}.{round(seconds % 1 * 1e9):09d}Z"


def line(seconds: float, source: str = "a", text: str = "") -> LogLine:
    return LogLine(at=at(seconds), service="web", replica=source, stream="stdout", text=text)


written = st.lists(
    st.tuples(
        st.integers(0, 5_000),  # when it was written, in ms
        st.integers(0, 199),  # how late it arrives, in ms, less than the window
        st.sampled_from("abcd"),
    ),
    max_size=60,
)


@given(written)
def test_any_lateness_under_the_window_comes_out_sorted_complete_and_once(lines: list[tuple[int, int, str]]) -> None:
    arriving = [
        (when + late, number, line(when / 1000, source, str(number)))
        for number, (when, late, source) in enumerate(lines)
    ]
    reorder, out = Reorder(WINDOW), []
    for now, _, each in sorted(arriving):
        out += reorder.due(now / 1000)
        reorder.push(each.replica, each, now / 1000)
    out += reorder.due(100.0)
    assert [each.at for each in out] == sorted(each.at for each in out)
    assert not any(each.late for each in out)
    assert sorted(each.text for each in out) == sorted(str(number) for number in range(len(lines)))
    assert len(reorder) == 0
    assert reorder.next_due() is None


@given(written)
def test_no_line_waits_longer_than_the_window(lines: list[tuple[int, int, str]]) -> None:
    reorder, waiting = Reorder(WINDOW), []
    arriving = sorted((when + late, number, source) for number, (when, late, source) in enumerate(lines))
    for now, number, source in arriving:
        reorder.push(source, line(lines[number][0] / 1000, source, str(number)), now / 1000)
        heapq.heappush(waiting, (now / 1000 + WINDOW, str(number)))
    gone: set[str] = set()
    while waiting:
        due, _ = waiting[0]
        gone |= {each.text for each in reorder.due(due)}
        while waiting and waiting[0][0] <= due:
            assert heapq.heappop(waiting)[1] in gone


def test_ties_are_broken_by_source_and_then_by_order_of_arrival() -> None:
    reorder = Reorder(WINDOW)
    for source, text in (("b", "1"), ("a", "2"), ("b", "3"), ("a", "4")):
        reorder.push(source, line(1.0, source, text), 0.0)
    assert [each.text for each in reorder.due(1.0)] == ["2", "4", "1", "3"]


def test_a_line_later_than_the_window_is_late_but_not_lost() -> None:
    reorder = Reorder(WINDOW)
    reorder.push("a", line(2.0), 0.0)
    assert len(reorder.due(0.3)) == 1
    reorder.push("b", line(1.0, "b"), 0.4)
    assert [(each.replica, each.late) for each in reorder.due(0.7)] == [("b", True)]


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3_000)), max_size=40), st.integers(0, 5_000))
def test_whatever_is_out_of_order_says_so(lines: list[tuple[int, int]], passed: int) -> None:
    reorder, out = Reorder(WINDOW, at(passed / 1000)), []
    for now, when in sorted((when + late, when) for when, late in lines):
        out += reorder.due(now / 1000)
        reorder.push("a", line(when / 1000), now / 1000)
    out += reorder.due(100.0)
    newest = at(passed / 1000)
    for each in out:
        assert each.late == (each.at < newest)
        newest = max(newest, each.at)
    assert len(out) == len(lines)


def test_a_source_that_is_behind_holds_back_what_is_newer_than_it() -> None:
    reorder = Reorder(WINDOW)
    reorder.behind("old")
    reorder.push("new", line(50.0, "new"), 0.0)
    assert reorder.due(10.0) == []
    for second in range(LOOKAHEAD + 2):
        reorder.push("old", line(float(second), "old"), 10.0)
    assert [each.at for each in reorder.due(11.0)] == [at(0), at(1)]
    reorder.caught_up("old")
    rest = reorder.due(11.0)
    assert [each.at for each in rest] == sorted(each.at for each in rest)
    assert len(rest) == LOOKAHEAD + 1


def test_nothing_newer_than_a_source_with_unread_bytes_is_let_go() -> None:
    reorder = Reorder(WINDOW)
    for second in range(20):
        reorder.push("a", line(float(second), "a"), 0.0)
    for second in range(10):
        reorder.push("b", line(float(second), "b"), 0.0)
    assert reorder.due(5.0, ["a", "c"]) == []
    assert {each.at for each in reorder.due(5.0, ["b"])} == {at(0), at(1), at(2)}
    assert len(reorder.due(5.0)) == 24


def test_the_tail_counts_old_lines_of_all_sources_and_keeps_all_new_ones() -> None:
    reorder = Reorder(WINDOW)
    reorder.held = True
    for source in "ab":
        reorder.behind(source)
    for second in range(10):
        reorder.push("ab"[second % 2], line(float(second), "ab"[second % 2]), 0.0)
    for source in "ab":
        reorder.caught_up(source)
    reorder.push("a", line(60.0), 0.1)
    assert reorder.due(5.0) == []
    reorder.held = False
    reorder.trim(3)
    assert [each.at for each in reorder.due(5.0)] == [at(7), at(8), at(9), at(60)]


def test_it_says_when_it_is_full() -> None:
    reorder = Reorder(WINDOW)
    for number in range(LARGEST):
        assert not reorder.full
        reorder.push("a", line(number / 1000), 0.0)
    assert reorder.full
    assert len(reorder.due(1.0)) == LARGEST
    assert not reorder.full


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 1_000), max_size=30), max_size=3))
def test_finished_logs_are_merged_in_order(logs: dict[str, list[int]]) -> None:
    sources = {
        source: [line(number / 1000, source, str(position)) for position, number in enumerate(sorted(numbers))]
        for source, numbers in logs.items()
    }
    out = list(merged({source: iter(lines) for source, lines in sources.items()}))
    everything = [each for lines in sources.values() for each in lines]
    assert out == sorted(everything, key=lambda each: (each.at, each.replica, int(each.text)))
    assert list(merged({source: iter(lines) for source, lines in sources.items()}, 4)) == out[-4:]


def test_the_two_streams_of_one_container_may_be_written_a_little_out_of_order() -> None:
    lines = [line(second) for second in (1.0, 3.0, 2.0, 5.0, 4.0)]
    assert [each.at for each in merged({"a": lines})] == [at(second) for second in (1, 2, 3, 4, 5)]
