# SPDX-License-Identifier: Apache-2.0
"""Marks and cursors lead to exactly the lines that were not seen; times that people name are understood or refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.model import errors
from stackyard.model.logs import LogLine, Marks, Place, moment, stamp

NOW = 1_769_868_000.0

written = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["stdout", "stderr"]), st.integers(0, 6)), max_size=40
)


def ordered(lines: list[tuple[str, str, int]]) -> list[LogLine]:
    """Return lines in whose streams the time never goes back, often with the same time as the one before."""
    return [
        LogLine(stamp(NOW + second), "web", source, stream, str(number), source)
        for number, (source, stream, second) in enumerate(sorted(lines, key=lambda each: each[2]))
    ]


@given(written, st.data())
def test_who_goes_on_behind_marks_sees_each_line_once(lines: list[tuple[str, str, int]], data: st.DataObject) -> None:
    everything = ordered(lines)
    seen = data.draw(st.integers(0, len(everything)))
    marks = Marks()
    for line in everything[:seen]:
        marks.advance(line)
    again = Marks(marks.as_dict())
    # Another reader may meet the streams interleaved otherwise; within each the order is the same.
    other = sorted(everything, key=lambda each: (each.stream, each.source))
    assert {each.text for each in other if not again.skips(each)} == {each.text for each in everything[seen:]}


@given(written, st.data())
def test_marks_behind_marks(lines: list[tuple[str, str, int]], data: st.DataObject) -> None:
    everything = ordered(lines)
    first = data.draw(st.integers(0, len(everything)))
    second = data.draw(st.integers(first, len(everything)))
    parts = []
    for part in (everything[:first], everything[first:second], everything[:second]):
        marks = Marks()
        for line in part:
            marks.advance(line)
        parts.append(marks)
    assert parts[0].then(parts[1]) == parts[2]
    assert parts[2].covers(parts[0])
    assert parts[2].newest() == max((each.at for each in everything[:second]), default="")


@given(st.integers(0, 10**15), written)
def test_a_cursor_leads_back_to_its_place(position: int, lines: list[tuple[str, str, int]]) -> None:
    marks = Marks()
    for line in ordered(lines):
        marks.advance(line)
    assert Place.at(Place(position, marks).cursor()) == Place(position, marks)


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_a_place(text: str) -> None:
    with contextlib.suppress(errors.BadInput):
        assert Place.at(text).position >= 0


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("10m", stamp(NOW - 600)),
        ("1h30m", stamp(NOW - 5400)),
        ("0s", stamp(NOW)),
        ("1.5h", stamp(NOW - 5400)),
        ("2d", stamp(NOW - 172800)),
        ("2026-01-31T14:00:00Z", "2026-01-31T14:00:00.000000000Z"),
        ("2026-01-31T14:00:00.5+02:00", "2026-01-31T12:00:00.500000000Z"),
        ("2026-01-31t14:00:00.123456789z", "2026-01-31T14:00:00.123456789Z"),
    ],
)
def test_times_that_are_understood(given_: str, expected: str) -> None:
    assert moment(given_, NOW) == expected


@pytest.mark.parametrize(
    "given_",
    [
        "",
        "10",
        "m",
        "10 m",
        "-5m",
        "yesterday",
        "2026-01-31",
        "2026-02-31T00:00:00Z",
        "99999999w",
        "0001-01-01T00:00:00+23:00",
    ],
)
def test_times_that_are_refused_with_an_example(given_: str) -> None:
    with pytest.raises(errors.BadInput, match=r"until must be a time such as 2026-.*10m or 2h"):
        moment(given_, NOW, "until")
