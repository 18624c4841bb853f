# SPDX-License-Identifier: Apache-2.0
"""`stackyard logs` shows what is late as such, and goes on behind the last line when the connection breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from stackyard.cli import logs, waiting
from stackyard.model import errors


def line(number: int, late: bool = False) -> dict[str, Any]:
    at = f"2026-01-01T00:00:0{number}.000000000Z"
    names = {"service": "web", "replica": "web.1", "stream": "stdout"}
    return {"at": at, **names, "text": f"line {number}", "late": late, "cursor": f"c{number}"}


@pytest.mark.parametrize("timestamps", [False, True])
def test_a_late_line_tells_its_true_time_once(timestamps: bool) -> None:
    text = click.unstyle(logs._printer(timestamps=timestamps, coloured=True)(line(3, late=True)))
    assert text == "web.1 | late 2026-01-01T00:00:03.000000000Z line 3"


class Breaking:
    """A platform whose connection breaks off in the middle of the third line."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def get(self, path: str) -> None:
        return None

    def stream(self, path: str, **query: Any) -> Iterator[bytes]:
        self.asked.append(query)
        first = int((query.get("cursor") or "c0")[1:])
        for number in range(first + 1, 6):
            data = json.dumps(line(number)).encode() + b"\n"
            if number == 3 and len(self.asked) == 1:
                yield data[:20]
                raise errors.Unavailable("the connection broke off")
            yield data


def test_a_broken_connection_is_resumed_by_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LONGEST", 0.01)
    platform = Breaking()
    query = {"tail": 2, "since": "10m", "service": "web", "cursor": None}
    shown = list(logs._follow(platform, "shop", query))  # type: ignore[arg-type]
    assert [each["text"] for each in shown] == [f"line {number}" for number in range(1, 6)]
    assert platform.asked[0]["tail"] == 2
    again = platform.asked[1]
    assert (again["cursor"], again["tail"], again["since"], again["service"]) == ("c2", None, None, "web")
