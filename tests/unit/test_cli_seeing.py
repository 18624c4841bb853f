# SPDX-License-Identifier: Apache-2.0
"""What `ps`, `top`, `open` and `events` show of what the platform answers."""

from __future__ import annotations

import datetime
from typing import Any

import click
import pytest

from stackyard.cli import events, ps, top
from stackyard.cli.open import _url
from stackyard.model import errors

AT = datetime.datetime(2026, 5, 1, 12, 0, tzinfo=datetime.UTC)


def process(state: str = "running", replica: int = 1, **more: Any) -> dict[str, Any]:
    base = {"service": "web", "replica": replica, "state": state, "release": 3, "node": "n1", "reason": "", "loop": ""}
    figures = {"cpu": 0.125, "memory": 20 << 20, "memory_limit": None, "restarts": 0}
    return {**base, **figures, "started_at": "2026-05-01T11:58:00+00:00"} | more


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 B"), (999, "999 B"), (20 << 20, "20 MiB"), (1536 << 20, "1.5 GiB"), (1023, "0.999 KiB")],
)
def test_sizes_have_three_digits(number: int, expected: str) -> None:
    assert ps.size(number) == expected


def test_a_row_tells_use_of_limit_and_age() -> None:
    (row,) = ps.rows([process(memory_limit=128 << 20, restarts=2)], AT)
    assert (row["cpu"], row["memory"], row["age"]) == ("12.5%", "20 MiB of 128 MiB (16%)", "2m")
    assert row["restarts"] == 2
    (unknown,) = ps.rows([process("unknown", cpu=None, memory=None, started_at=None)], AT)
    assert (unknown["cpu"], unknown["memory"], unknown["age"]) == ("-", "-", "-")


def test_only_ends_without_a_successor_are_shown() -> None:
    ended = process("exited", started_at="2026-05-01T11:59:00+00:00")
    older = process("exited", 2, started_at="2026-05-01T11:50:00+00:00")
    newer = process("exited", 2, started_at="2026-05-01T11:55:00+00:00")
    living = process("starting")
    assert ps.current([ended, living, older, newer]) == [living, newer]


def test_a_restart_loop_is_said_once_for_a_service() -> None:
    found = [process(loop="restarting: stopped 5 times in 9 s; last: exited with code 1", replica=n) for n in (1, 2)]
    assert ps.loops(found) == ["web is restarting: stopped 5 times in 9 s; last: exited with code 1"]


def test_an_application_is_the_sum_of_its_replicas() -> None:
    found = [process(), process(replica=2, cpu=0.5), process("exited", 3), process("unknown", 4, cpu=None, memory=None)]
    asked = {"requests": 12.34, "errors": 0.0, "p50": 12, "p99": 1500}
    summary = top._summary({"name": "shop", "status": "DEPLOYMENT_COMPLETE"}, found, asked)
    assert (summary["running"], summary["replicas"], summary["cpu"]) == (2, 3, 0.625)
    assert summary["memory"] == 40 << 20
    (row,) = top._app_rows([summary])
    assert (row["replicas"], row["cpu"], row["memory"]) == ("2/3", "62.5%", "40 MiB")
    assert (row["req/s"], row["err/s"], row["p50"], row["p99"]) == ("12.3", None, "12 ms", "1.5 s")
    (row,) = top._app_rows([{**summary, **top.NOT_ASKED}])
    assert (row["req/s"], row["err/s"], row["p50"], row["p99"]) == ("-", None, "", "")
    nothing = top._summary({"name": "new", "status": "QUEUED"}, [], asked)
    assert (nothing["cpu"], nothing["memory"]) == (None, None)


def test_addresses() -> None:
    urls = {"web": "http://shop.demo.localhost", "admin": "http://admin.shop.demo.localhost"}
    assert _url("shop", urls["web"], urls, None) == urls["web"]
    assert _url("shop", urls["web"], urls, "admin") == urls["admin"]
    with pytest.raises(errors.NotFound, match="it has: admin, web"):
        _url("shop", urls["web"], urls, "worker")
    with pytest.raises(errors.NotFound, match="listens on a port"):
        _url("shop", None, {}, None)


def test_events_have_a_time_with_its_offset_and_keep_their_lines_together() -> None:
    event = {"at": "2026-05-01T12:00:00.123456+02:00", "kind": "failed", "message": "web keeps stopping\nlast line"}
    shown = click.unstyle(events.line(event, utc=True))
    assert shown == "2026-05-01T10:00:00+00:00  failed      web keeps stopping\n    last line"
