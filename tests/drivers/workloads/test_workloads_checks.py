# SPDX-License-Identifier: Apache-2.0
"""Health over the network, against real sockets: who listens late, who answers badly, who gets worse later."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stackyard.drivers.workloads import checks, spec
from stackyard.drivers.workloads.checks import Check, Checks
from stackyard.drivers.workloads.observe import Container
from stackyard.model.applications import HealthCheck, Service
from stackyard.model.ports import NodeAccess, Run, TLSPair

NODE = NodeAccess("n1", "127.0.0.1", "worker", TLSPair("", "", ""))
APP = "0123456789abcdef"


class Server:
    """Answers GET /ready with whatever status the test says."""

    def __init__(self) -> None:
        self.status = 200
        self.paths: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.http.server_address[1])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def changed() -> list[str]:
    return []


@pytest.fixture
def judges(changed: list[str]) -> Iterator[Checks]:
    made = Checks(changed.append)
    yield made
    made.close()


def container(port: int, check: HealthCheck | None, begun: float | None = None) -> Container:
    service = Service("web", image="i", port=8000, healthcheck=check)
    labels = spec.labels(Run("run", APP, 1, service, 1, {}))
    ports = [{"PrivatePort": 8000, "PublicPort": port, "Type": "tcp"}]
    created = time.time() if begun is None else begun
    listed = {"Id": f"c{port}", "State": "running", "Status": "Up", "Labels": labels, "Ports": ports}
    return Container(NODE, {**listed, "Created": created})


def state(judges: Checks, one: Container) -> str:
    health = judges.judge(APP, [one])[0].health
    assert health is not None
    return health[0]


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_what_is_routed_is_ready_as_soon_as_it_listens(judges: Checks, changed: list[str]) -> None:
    port = free_port()
    one = container(port, None)
    assert state(judges, one) == "starting"
    until(lambda: "nothing accepts connections on port 8000" in judges.judge(APP, [one])[0].health[1])
    with contextlib.closing(socket.create_server(("127.0.0.1", port))):
        listening = time.monotonic()
        until(lambda: state(judges, one) == "running")
        assert time.monotonic() - listening < 1.0
    assert APP in changed
    time.sleep(0.2)
    assert state(judges, one) == "running", "what nobody asked to be checked is not checked again"


def test_http_decides_at_first_and_later(judges: Checks, server: Server, changed: list[str]) -> None:
    server.status = 503
    asked = HealthCheck(http="/ready", interval=0.1, timeout=1, retries=3, start_period=60)
    one = container(server.port, asked)
    until(lambda: judges.judge(APP, [one])[0].health == ("starting", "GET /ready answers 503"))
    server.status = 302
    until(lambda: state(judges, one) == "running")
    server.status = 500
    until(lambda: judges.judge(APP, [one])[0].health == ("unhealthy", "GET /ready answers 500"))
    server.status = 200
    until(lambda: judges.judge(APP, [one])[0].health == ("running", ""))
    assert set(server.paths) == {"/ready"}
    assert len(changed) >= 4


def test_one_failure_is_none(judges: Checks, server: Server) -> None:
    asked = HealthCheck(http="/", interval=0.3, timeout=1, retries=3)
    one = container(server.port, asked)
    until(lambda: state(judges, one) == "running")
    server.status = 500
    until(lambda: judges.judge(APP, [one])[0].health[1] != "")
    assert state(judges, one) == "running"


def test_one_that_never_passes_is_unhealthy_after_its_start_period(judges: Checks) -> None:
    asked = HealthCheck(tcp=True, interval=10, timeout=1, retries=3, start_period=5)
    young, old = container(free_port(), asked), container(free_port(), asked, begun=time.time() - 36)
    until(lambda: judges.judge(APP, [young, old])[1].health[0] == "unhealthy")
    assert judges.judge(APP, [young, old])[0].health[0] == "starting"


def test_what_is_gone_is_asked_no_more(judges: Checks, server: Server) -> None:
    one = container(server.port, HealthCheck(http="/", interval=0.05, timeout=1))
    until(lambda: state(judges, one) == "running")
    judges.judge(APP, [])
    time.sleep(0.1)
    asked = len(server.paths)
    time.sleep(0.2)
    assert len(server.paths) == asked


def test_commands_and_no_check_at_all_are_the_engines() -> None:
    for check in (HealthCheck(("CMD", "true")), HealthCheck(disabled=True)):
        assert checks.of(container(1, check).labels) is None
    assert spec.healthcheck(HealthCheck(http="/")) == {"Test": ["NONE"]}, "the image's own does not count beside it"


def test_silence_and_nonsense_in_words() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        words = checks.ask(endpoint, Check("8000", "/ready", timeout=0.2))
        assert words == "GET /ready had no answer within 0.2 s"
        assert checks.ask(endpoint, Check("8000", timeout=0.2)) == ""
