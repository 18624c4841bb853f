# SPDX-License-Identifier: Apache-2.0
"""Requests counted by second: rates, percentiles, what is forgotten."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from stackyard.drivers.routers import traffic
from stackyard.drivers.routers.traffic import Counters, percentile, read, rounded
from stackyard.model.ports import Traffic

NOW = 1_800_000_000.0


def entry(ago: float, status: int = 200, ms: int = 5) -> dict[str, Any]:
    return {"at": int((NOW - ago) * 1e6), "status": status, "ms": ms}


def test_rates_and_times_of_the_last_seconds(tmp_path: pathlib.Path) -> None:
    counters = Counters(tmp_path)
    for ms in range(1, 101):
        counters.count("a", entry(3, ms=ms))
    counters.count("a", entry(1, status=503, ms=12345))
    counters.count("a", entry(2, status=101, ms=3_600_000))
    counters.count("b", entry(1, status=-1, ms=-1))
    counters.count("a", entry(0))
    counters.write(NOW)
    assert not counters.dirty
    assert read(tmp_path, "a", NOW) == Traffic(requests=10.2, errors=0.1, p50=51, p99=100)
    assert read(tmp_path, "b", NOW) == Traffic(requests=0.1, errors=0.0, p50=0, p99=0)
    assert read(tmp_path, "a", NOW + 9).requests == 0.2, "what is whole by then"
    assert read(tmp_path, "a", NOW + 11) == Traffic()


def test_what_is_old_is_forgotten(tmp_path: pathlib.Path) -> None:
    counters = Counters(tmp_path)
    counters.count("old", entry(60))
    counters.count("new", entry(1))
    counters.write(NOW)
    assert json.loads((tmp_path / traffic.FILE).read_text()).keys() == {"new"}


def test_it_is_written_now_and_then(tmp_path: pathlib.Path) -> None:
    counters = Counters(tmp_path)
    counters.count("a", entry(1))
    counters.write(NOW)
    counters.count("a", entry(1))
    counters.write(NOW + 0.1)
    assert (read(tmp_path, "a", NOW).requests, counters.dirty) == (0.1, True)
    counters.write(NOW + 0.6)
    assert read(tmp_path, "a", NOW).requests == 0.2


def test_nobody_counts(tmp_path: pathlib.Path) -> None:
    assert read(tmp_path, "a") == Traffic()
    (tmp_path / traffic.FILE).write_text("{")
    assert read(tmp_path, "a") == Traffic()


@pytest.mark.parametrize(("ms", "expected"), [(0, 0), (99, 99), (100, 100), (127, 120), (9999, 9900), (12345, 12000)])
def test_two_digits_count(ms: int, expected: int) -> None:
    assert rounded(ms) == expected


def test_percentiles() -> None:
    assert percentile([], 0.5) is None
    assert percentile([(7, 1)], 0.99) == 7
    assert percentile([(1, 99), (500, 1)], 0.99) == 1
    assert percentile([(1, 98), (500, 2)], 0.99) == 500
