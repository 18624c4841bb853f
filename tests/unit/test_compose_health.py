# SPDX-License-Identifier: Apache-2.0
"""`x-stackyard: {health: ...}` in Compose files: what is read, and what is wrong in plain words."""

from __future__ import annotations

import pathlib

import pytest

from stackyard.drivers.builders import compose
from stackyard.drivers.builders.detect import detect
from stackyard.model import errors
from stackyard.model.applications import AppSpec, HealthCheck


def parsed(health: str, more: str = "ports: ['8000']") -> AppSpec:
    text = f"services:\n  web:\n    image: nginx\n    {more}\n    x-stackyard: {{health: {health}}}\n"
    return compose.parse(text, lambda path: "")


def check(health: str) -> HealthCheck:
    (web,) = parsed(health).services
    assert web.healthcheck is not None
    return web.healthcheck


def test_each_kind_with_its_times() -> None:
    assert check("{http: /ready}") == HealthCheck(http="/ready", interval=10, timeout=5, retries=3, start_period=30)
    asked = check("{http: '/a?b=c', interval: 500ms, timeout: 1s, retries: 2, start_period: 1m30s}")
    assert asked == HealthCheck(http="/a?b=c", interval=0.5, timeout=1, retries=2, start_period=90)
    assert check("{tcp: true}").tcp
    assert check("{command: ./check}").test == ("CMD-SHELL", "./check")
    assert check("{command: [./check, --fast]}").test == ("CMD", "./check", "--fast")


@pytest.mark.parametrize(
    ("health", "words"),
    [
        ("/ready", "must be a mapping; write for example {http: /ready, interval: 5s}"),
        ("{}", "says nothing to check; give it one of http, tcp, command"),
        ("{http: /a, tcp: true}", "has http and tcp; give it one of"),
        ("{http: ready}", "http must be a path that begins with '/', not 'ready'"),
        ("{http: 'http://x/'}", "http must be a path"),
        ("{http: '/a b'}", "http must be a path"),
        ("{tcp: false}", "tcp must be true"),
        ("{command: ''}", "command must be a string"),
        ("{command: [1]}", "command must be a string"),
        ("{http: /, interval: 5}", "interval must be a duration such as 10s, not '5'"),
        ("{http: /, interval: 1ms}", "interval must be 100ms or longer"),
        ("{http: /, retries: 0}", "retries must be a number from 1 to 1000, not '0'"),
        ("{http: /, retires: 3}", "unknown key 'retires'"),
    ],
)
def test_what_is_wrong_is_said(health: str, words: str) -> None:
    with pytest.raises(errors.BadInput) as raised:
        parsed(health)
    assert "x-stackyard.health of service 'web'" in str(raised.value)
    assert words in str(raised.value)


def test_it_stands_beside_no_healthcheck() -> None:
    with pytest.raises(errors.BadInput, match="beside healthcheck; a service has one of them"):
        parsed("{tcp: true}", "healthcheck: {test: [CMD, x]}")


@pytest.mark.parametrize(("health", "kind"), [("{http: /}", "http"), ("{tcp: true}", "tcp")])
def test_what_is_asked_over_the_network_needs_a_port(tmp_path: pathlib.Path, health: str, kind: str) -> None:
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  worker:\n    image: nginx\n    x-stackyard: {{health: {health}}}\n"
    )
    with pytest.raises(errors.BadInput) as raised:
        detect(tmp_path)
    said = f"compose.yaml: x-stackyard.health.{kind} of service 'worker': the service has no port"
    assert str(raised.value).startswith(said)


def test_a_service_of_a_language_pack_has_a_port_and_may_be_asked(tmp_path: pathlib.Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    build: .\n    x-stackyard: {health: {http: /up}}\n")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "app.py").write_text("")
    (web,) = detect(tmp_path).services
    assert (web.port, web.healthcheck and web.healthcheck.http) == (8000, "/up")


def test_what_does_not_go_on_running_is_not_asked(tmp_path: pathlib.Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n  task:\n    image: nginx\n    x-stackyard: {stage: release, health: {tcp: true}}\n"
    )
    with pytest.raises(errors.BadInput, match="does not go on running"):
        detect(tmp_path)


def test_two_services_that_publish_one_port_are_told(tmp_path: pathlib.Path) -> None:
    text = (
        "services:\n  web:\n    image: a\n    ports: ['80:8000']\n"
        "  admin:\n    image: b\n    ports: [{target: 1, published: 80}]\n"
    )
    notes = compose.parse(text, lambda path: "").notes
    (note,) = [note for note in notes if "port 80" in note]
    assert "'web' and 'admin' publish port 80" in note
    assert "a host name of its own" in note
    assert not [note for note in compose.parse(text.replace("80:", ""), lambda path: "").notes if "port 80" in note]


def test_a_procfile_without_web_says_that_nothing_is_routed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "Procfile").write_text("worker: python work.py\n")
    spec = detect(tmp_path)
    assert [service.port for service in spec.services] == [None]
    assert any("no web process" in note for note in spec.notes)
