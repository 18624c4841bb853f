# SPDX-License-Identifier: Apache-2.0
"""Health and seeing on a real platform: checks over the network, releases that lie, ends and loops, figures."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.shell import BIN, Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

PROGRAM = """
import http.server, os, threading, time
STARTED = time.monotonic()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        young = time.monotonic() - STARTED < float(os.environ.get("SLOW", 0))
        self.send_response(503 if self.path == "/ready" and young else 200)
        self.end_headers()
        self.wfile.write(b"VERSION")

    def log_message(self, *_):
        pass

def die():
    time.sleep(float(os.environ["DIES"]))
    print("no such table: users", flush=True)
    os._exit(1)

def eat():
    time.sleep(1)
    kept = []
    while True:
        kept.append(bytearray(b"x") * (8 << 20))

for name, what in (("DIES", die), ("EATS", eat)):
    if os.environ.get(name):
        threading.Thread(target=what, daemon=True).start()
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
COMPOSE = """
services:
  web:
    build: .
    command: python app.py
    ports: ["8000"]
    environment: {ENVIRONMENT}
    deploy: {resources: {limits: {memory: 96m}}}
    x-stackyard: {health: {http: /ready, interval: 1s, timeout: 2s, start_period: 30s}}
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def cluster(shell: Shell) -> Iterator[str]:
    shell.ok("cluster", "create", "seeing", "--nodes", "1")
    yield "seeing"
    shell.ok("cluster", "delete", "seeing", "--yes")


@pytest.fixture
def app(shell: Shell, cluster: str) -> Iterator[str]:
    yield "watched"
    shell.run("stackyard", "destroy", "watched")


def write(folder: pathlib.Path, version: str, **environment: object) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(PROGRAM.replace("VERSION", version))
    (folder / "requirements.txt").write_text("")
    said = json.dumps({key: str(value) for key, value in environment.items()})
    (folder / "compose.yaml").write_text(COMPOSE.replace("{ENVIRONMENT}", said))
    return folder


def push(shell: Shell, folder: pathlib.Path) -> Any:
    return shell.json("push", str(folder), "--app", "watched", "--cluster", "seeing")


def status(shell: Shell) -> Any:
    return next(each for each in shell.json("apps") if each["name"] == "watched")


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, value
        time.sleep(0.5)
    return value


def kinds(shell: Shell) -> list[str]:
    return [event["kind"] for event in shell.json("events", "watched")]


def test_http_decides_and_a_release_that_lies_is_taken_back(shell: Shell, app: str, tmp_path: pathlib.Path) -> None:
    began = time.monotonic()
    push(shell, write(tmp_path, "one", SLOW=2))
    assert time.monotonic() - began > 2.0, "it was not asked whether it is ready"
    assert status(shell)["release"] == 1
    push(shell, write(tmp_path, "two", DIES=1.5))
    failed = until(lambda: (found := status(shell))["status"] == "ERROR" and found["release"] == 1 and found)
    assert (
        "release 2 was ready, then failed; release 1 serves again: web keeps stopping: exited with code 1"
        in (failed["status_reason"])
    )
    assert "no such table: users" in failed["status_reason"]
    until(lambda: [each["release"] for each in shell.json("ps", app) if each["state"] == "running"] == [1])
    assert shell.ok("open", app, "--print").strip() == failed["app_url"]
    assert shell.ok("open", app, "--service", "web").strip() == failed["app_url"]
    assert "it has: web" in shell.refused("open", app, "--service", "db")


def test_ps_and_top_tell_what_is_used(shell: Shell, app: str, tmp_path: pathlib.Path) -> None:
    push(shell, write(tmp_path, "one"))
    (replica,) = [each for each in shell.json("ps", app) if each["state"] == "running"]
    assert replica["memory_limit"] == 96 << 20
    assert 1 << 20 < replica["memory"] < 96 << 20
    assert 0 <= replica["cpu"] < 2
    (row,) = [line for line in shell.ok("ps", app).splitlines() if line.startswith("web")]
    assert "of 96 MiB (" in row
    assert "%" in row
    (same,) = shell.json("top", app, "--once")
    assert same["memory"] > 0
    (summary,) = [each for each in shell.json("top", "--once") if each["app"] == app]
    assert (summary["replicas"], summary["running"]) == (1, 1)
    assert "watched" in shell.ok("top", "--once")
    command = [BIN / "stackyard", "top", app, "--json"]
    with subprocess.Popen(command, env=shell.full_environment(), stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdout is not None
        assert [len(json.loads(stream.stdout.readline())) for _ in range(2)] == [1, 1]
        stream.terminate()


def test_a_first_release_that_keeps_running_out_of_memory_says_so(
    shell: Shell, app: str, tmp_path: pathlib.Path
) -> None:
    push(shell, write(tmp_path, "one", EATS=1))
    looping = until(lambda: [each for each in shell.json("ps", app) if each["loop"]], 90)
    assert "memory: its limit is 96 MiB; give it more with deploy.resources.limits.memory" in looping[0]["loop"]
    assert looping[0]["loop"].startswith("restarting: stopped ")
    assert "web is restarting: stopped " in shell.ok("ps", app)
    until(lambda: "web is restarting" in (status(shell)["status_reason"] or ""))
    until(lambda: "restarting" in kinds(shell))


def test_events_tell_who_did_what_and_are_followed(shell: Shell, app: str, tmp_path: pathlib.Path) -> None:
    push(shell, write(tmp_path, "one"))
    pushed = [event for event in shell.json("events", app) if event["kind"] == "pushed"]
    assert pushed[0]["message"].startswith("demo pushed a folder (")
    assert len(shell.json("events", app, "--tail", "2")) == 2
    before = shell.json("events", app)
    assert shell.json("events", app, "--since", "2020-01-01T00:00:00Z")[: len(before)] == before
    command = [BIN / "stackyard", "events", app, "-f", "--tail", "1", "--utc"]
    with subprocess.Popen(command, env=shell.full_environment(), stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdout is not None
        assert "+00:00" in stream.stdout.readline()
        shell.ok("scale", app, "web=2")
        assert "demo scaled to web=2" in stream.stdout.readline()
        stream.terminate()
    assert "could not be found" in shell.refused("events", app, cloud="stackyard-other")
    assert "could not be found" in shell.refused("ps", app, cloud="stackyard-other")
