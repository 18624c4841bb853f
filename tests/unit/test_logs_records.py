# SPDX-License-Identifier: Apache-2.0
"""A container's log is cut into the same lines however its bytes arrive."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.workloads.records import LONGEST, Record, Records, exact
from stackyard.drivers.workloads.sources import since_parameter

AT = "2026-01-01T00:00:00.000000001Z"
LATER = "2026-01-01T00:00:00.100000000Z"


def frame(text: bytes, stream: int = 1, at: str = AT) -> bytes:
    record = at.encode() + b" " + text
    return struct.pack(">BxxxL", stream, len(record)) + record


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in itertools.pairwise(edges)]


def read(pieces: list[bytes]) -> list[Record]:
    records = Records()
    found = [record for piece in pieces for record in records.feed(piece)]
    return found + records.finish()


text = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"").replace(b"\r", b""))


@given(st.lists(st.tuples(text, st.sampled_from([1, 2])), max_size=8), st.lists(st.integers(0, 1000)))
def test_frames_cut_anywhere(lines: list[tuple[bytes, int]], places: list[int]) -> None:
    data = b"".join(frame(line + b"\n", stream) for line, stream in lines)
    expected = [
        Record(AT, {1: "stdout", 2: "stderr"}[stream], line.decode("utf-8", "replace")) for line, stream in lines
    ]
    assert read(cut(data, places)) == expected


@given(st.lists(text, max_size=8), st.lists(st.integers(0, 1000)))
def test_a_terminal_cut_anywhere(lines: list[bytes], places: list[int]) -> None:
    data = b"".join(AT.encode() + b" " + line + b"\r\n" for line in lines)
    assert read(cut(data, places)) == [Record(AT, "stdout", line.decode("utf-8", "replace")) for line in lines]


def test_a_long_line_that_the_engine_split_is_one_line_again() -> None:
    pieces = [frame(b"x" * 16384), frame(b"other\n", 2, LATER), frame(b"end\n")]
    assert read(pieces) == [Record(LATER, "stderr", "other"), Record(AT, "stdout", "x" * 16384 + "end")]


def test_a_long_line_of_a_terminal_is_one_line_again() -> None:
    head = AT.encode() + b" "
    assert read([head + b"x" * 16384 + head + b"end\r\n"]) == [Record(AT, "stdout", "x" * 16384 + "end")]


def test_an_endless_line_comes_in_pieces_and_nothing_is_lost() -> None:
    found = read([frame(b"y" * 16384)] * 40)
    assert len(found) > 1
    assert "".join(each.text for each in found) == "y" * 16384 * 40
    assert all(len(each.text) <= LONGEST for each in found)


def test_an_unfinished_line_is_given_when_the_log_ends() -> None:
    records = Records()
    assert records.feed(frame(b"no line feed")) == []
    assert records.last_at == AT
    assert records.finish() == [Record(AT, "stdout", "no line feed")]


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    assert read([frame(b"caf\xe9\n")]) == [Record(AT, "stdout", "caf�")]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000000Z"),
        ("2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00.120000000Z"),
        (AT, AT),
    ],
)
def test_times_have_nine_digits(given_: str, expected: str) -> None:
    assert exact(given_) == expected


def test_a_time_is_given_to_the_engine_as_seconds() -> None:
    assert since_parameter("1970-01-02T00:00:05.000000005Z") == "86400.000000005"
    assert since_parameter("") == ""
