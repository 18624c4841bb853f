# SPDX-License-Identifier: Apache-2.0
"""Text that grows while it is read: the output of a push, the logs of an application."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client

from stackyard.api import http
from stackyard.api.application_deployment import logs
from stackyard.api.application_deployment.reading import Pollable
from stackyard.model import errors
from stackyard.model.logs import LogLine
from stackyard.model.phase import Trigger
from tests.api.world import MEMBER, World, identity

APP = "/application-deployment/v1/apps/shop"
LINES = [
    LogLine(f"2026-01-01T00:00:0{number}Z", service, f"{service}.1", "stdout", f"line {number} ü")
    for number, service in enumerate(("web", "db", "web"))
]


@pytest.fixture
def pushed(full: World) -> tuple[World, str]:
    made = full.call("POST", f"{APP}/workflows", {"source": {"repository": "https://example.org/a.git"}})
    return full, made.json["uuid"]


def write(world: World, build: str, text: str) -> None:
    with world.store.saving() as tx:
        tx.builds.append_log(build, text)


def test_output_so_far_from_any_byte_on(pushed: tuple[World, str]) -> None:
    world, build = pushed
    for text in ("first ü\n", "second\n", "third\n"):
        write(world, build, text)
    whole = "first ü\nsecond\nthird\n".encode()
    for offset in (0, 3, 7, 9, 12, len(whole) - 1, len(whole), 1000):
        answer = world.call("GET", f"{APP}/workflows/1/output?offset={offset}")
        assert answer.data == whole[offset:]
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_followed_output_grows_and_ends_with_the_push(pushed: tuple[World, str]) -> None:
    world, build = pushed
    write(world, build, "first\n")

    def go_on() -> None:
        time.sleep(0.3)
        write(world, build, "second\n")
        world.fail("builds", build, "it broke")

    worker = threading.Thread(target=go_on)
    worker.start()
    answer = world.client.get(f"{APP}/workflows/{build}/output?follow=1", headers={"X-Auth-Token": MEMBER})
    arrived = [(piece, time.monotonic()) for piece in answer.response]
    worker.join()
    assert [piece for piece, _ in arrived] == [b"first\n", b"second\n"]
    assert arrived[1][1] - arrived[0][1] > 0.15
    shown = world.call("GET", f"{APP}/workflows/1").json
    assert (shown["status"], shown["status_reason"]) == ("ERROR", "it broke")


@pytest.mark.parametrize("query", ["offset=x", "offset=-1", "tail=1"])
def test_wrong_words_about_output(pushed: tuple[World, str], query: str) -> None:
    assert pushed[0].call("GET", f"{APP}/workflows/1/output?{query}").status_code == 400


def test_logs_are_one_json_object_a_line(full: World) -> None:
    full.engine.lines = LINES
    answer = full.call("GET", f"{APP}/logs")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    shown = [json.loads(line) for line in answer.data.splitlines()]
    assert [(each["at"], each["replica"], each["text"], each["late"]) for each in shown] == [
        (line.at, line.replica, line.text, False) for line in LINES
    ]
    assert full.call("GET", f"{APP}/logs?tail=1").data.splitlines() == answer.data.splitlines()[2:]
    behind_tail = full.call("GET", f"{APP}/logs?cursor={shown[-1]['cursor']}")
    assert behind_tail.data == b""
    for choice in ("service=web&timestamps=1", "process=web", "replica=web", "since=2026-01-01T00:00:01Z"):
        assert len(full.call("GET", f"{APP}/logs?{choice}").data.splitlines()) == 2
    assert len(full.call("GET", f"{APP}/logs?until=2026-01-01T00:00:01Z").data.splitlines()) == 1
    for number, each in enumerate(shown, 1):
        behind = full.call("GET", f"{APP}/logs?cursor={each['cursor']}").data.splitlines()
        assert [json.loads(line)["text"] for line in behind] == [line.text for line in LINES[number:]]


def test_logs_of_several_services_and_of_one_openstack_request(full: World) -> None:
    outer, inner = (f"req-{digit * 8}-2222-3333-4444-555555555555" for digit in "ab")
    heads = {
        "web": f"2026-01-01 00:00:00.001 7 INFO api [None {outer} u p]",
        "router": f"2026-01-01 00:00:00.002 7 INFO nova [{outer} {inner} u p]",
    }
    full.engine.lines = [
        LogLine(f"2026-01-01T00:00:0{number}Z", service, f"{service}.1.x", "stderr", text)
        for number, (service, text) in enumerate(
            [
                ("web", heads["web"]),
                ("router", "of nothing"),
                ("router", heads["router"]),
                ("router", "  its second line"),
            ]
        )
    ]

    def texts(query: str) -> list[str]:
        answer = full.call("GET", f"{APP}/logs?{query}")
        return [json.loads(line)["text"] for line in answer.data.splitlines()]

    assert texts(f"request={outer}") == [heads["web"], heads["router"], "  its second line"]
    assert texts(f"request={outer}&tail=1") == ["  its second line"]
    assert texts(f"request={inner}&service=router") == [heads["router"], "  its second line"]
    assert len(texts("service=web,router")) == 4


@pytest.mark.parametrize(
    "query",
    [
        "tail=x",
        "tail=-1",
        "service=none",
        "colour=1",
        "since=yesterday",
        "until=10",
        "since=2026-13-01T00:00:00Z",
        "since=1h&until=2h",
        "service=web&process=db",
        "service=web,none",
        "request=req-1",
        "cursor=x",
        "cursor=WzEyM10",
        "cursor=W1sxXV0",
    ],
)
def test_wrong_words_about_logs(full: World, query: str) -> None:
    assert full.call("GET", f"{APP}/logs?{query}").status_code == 400


def test_an_engine_that_does_not_answer_is_told_as_such(full: World) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[LogLine]:
        raise errors.Unavailable("node n-worker does not answer")
        yield

    full.engine.logs = broken  # type: ignore[method-assign]
    answer = full.call("GET", f"{APP}/logs")
    assert answer.status_code == 503
    assert "n-worker" in answer.json["faultstring"]


def test_before_the_first_release_there_is_nothing(full: World) -> None:
    full.call("POST", "/application-deployment/v1/apps", {"name": "empty"})
    empty = "/application-deployment/v1/apps/empty"
    assert full.call("GET", f"{empty}/logs?follow=1").data == b""
    assert full.call("GET", f"{empty}/processes").json == []
    assert full.call("GET", f"{empty}/releases").json == []


class Followed:
    """A followed log as the driver of Swarm gives it."""

    def __init__(self, *batches: list[LogLine]) -> None:
        self.batches = list(batches)
        self.closed = False

    def __iter__(self) -> Followed:
        return self

    def __next__(self) -> LogLine:
        raise AssertionError("it can be polled")

    def poll(self, timeout: float) -> list[LogLine]:
        batch = self.batches.pop(0) if self.batches else []
        time.sleep(0 if batch else timeout)
        return batch

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give signs of life soon."""
    monkeypatch.setattr(logs, "SIGN_OF_LIFE_SECONDS", 0.1)


def follow(world: World, stream: Followed) -> tuple[Any, Any]:
    world.engine.logs = lambda *_, **__: stream  # type: ignore[assignment,method-assign,return-value]
    services = dataclasses.replace(world.services, workloads=world.engine)  # type: ignore[arg-type]
    client = Client(http.create_app(services, authenticate=identity))
    answer = client.get(f"{APP}/logs?follow=1", headers={"X-Auth-Token": MEMBER})
    return answer, iter(answer.response)


def test_a_silent_log_gives_signs_of_life_and_is_closed_with_its_reader(full: World) -> None:
    stream = Followed(LINES[:2], [], LINES[2:])
    answer, pieces = follow(full, stream)
    first = next(pieces)
    assert len(first.splitlines()) == 2
    assert next(pieces) == b"\n"
    assert json.loads(next(pieces))["text"] == "line 2 ü"
    assert not stream.closed
    answer.close()
    assert stream.closed


def test_a_followed_log_ends_with_its_application(full: World) -> None:
    stream = Followed()
    _, pieces = follow(full, stream)
    assert next(pieces) == b"\n"
    with full.store.transaction() as tx:
        app = tx.applications.find("shop", None)
        tx.applications.change(app, Trigger.DELETE, "")
        tx.applications.delete(app.id)
    assert list(pieces) == []
    assert stream.closed


def test_what_the_driver_gives_is_what_is_polled() -> None:
    assert isinstance(Followed(), Pollable)
    assert not isinstance(iter(()), Pollable)
