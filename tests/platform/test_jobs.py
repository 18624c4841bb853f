# SPDX-License-Identifier: Apache-2.0
"""Jobs on the whole platform: release stages, a schedule, commands through a pipe and at a terminal, in a replica."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.shell import BIN, Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

PROGRAM = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
COMPOSE = """
services:
  web: {{build: ., command: python app.py, ports: ["8000"]}}
  migrate: {{build: ., command: "sh -c 'echo migrating $$WORD; exit {code}'", x-stackyard: {{stage: release}}}}
  tick: {{build: ., command: "echo tick", x-stackyard: {{cron: "* * * * *"}}}}
"""
APP = "jobs-shop"


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", "jobs-home", "--nodes", "1")
    yield shell
    shell.run("stackyard", "destroy", APP, "--yes")
    shell.ok("cluster", "delete", "jobs-home", "--yes")


def write(folder: pathlib.Path, code: int) -> str:
    (folder / "app.py").write_text(PROGRAM)
    (folder / "requirements.txt").write_text("")
    (folder / "compose.yaml").write_text(COMPOSE.format(code=code))
    return str(folder)


def push(folder: str) -> tuple[str, ...]:
    return ("push", folder, "--app", APP, "--cluster", "jobs-home")


@pytest.fixture(scope="module")
def app(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    shell.ok(*push(write(tmp_path_factory.mktemp("jobs"), 0)))
    return APP


def jobs(shell: Shell, kind: str) -> list[dict[str, Any]]:
    return [job for job in shell.json("jobs", APP) if job["kind"] == kind]


def until(look: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


def test_the_release_stage(shell: Shell, app: str, tmp_path: pathlib.Path) -> None:
    [first] = jobs(shell, "release")
    assert (first["status"], first["exit_code"], first["service"]) == ("done", 0, "migrate")
    assert "migrate: migrating" in shell.ok("build", "logs", app, "1")
    assert "migrating" in shell.ok("logs", app, "--service", "migrate")
    [built] = shell.json("builds", app)
    assert built["seconds"]["stage"] > 0
    said = shell.refused(*push(write(tmp_path, 7)))
    assert "the release stage failed: migrate exited with code 7" in said
    assert "migrating" in said
    assert shell.json("apps")[0]["release"] == 1
    assert [(each["service"], each["release"]) for each in shell.json("ps", app)] == [("web", 1)]


def test_a_rollback_runs_none_and_config_does(shell: Shell, app: str) -> None:
    before = len(jobs(shell, "release"))
    shell.ok("config", app, "set", "WORD=hello")
    newest, *others = jobs(shell, "release")
    assert len(others) == before
    assert newest["status"] == "done"
    assert "migrating hello" in shell.ok("logs", app, "--service", "migrate")
    shell.ok("rollback", app, "1")
    assert len(jobs(shell, "release")) == before + 1


def test_through_a_pipe(shell: Shell, app: str) -> None:
    data = os.urandom(300_000)
    command = [BIN / "stackyard", "run", app, "--", "sh", "-c", "cat; echo oops >&2; exit 5"]
    done = subprocess.run(
        command, env=shell.full_environment(), input=data, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout == data, done.stderr) == (5, True, b"oops\n")
    newest = until(lambda: next(iter(job for job in jobs(shell, "run") if job["status"] == "failed"), None), 20)
    assert newest["exit_code"] == 5
    assert "no service 'api'" in shell.refused("run", app, "--service", "api", "--", "true")


def test_detached(shell: Shell, app: str) -> None:
    begun = json.loads(shell.ok("run", "--json", "--detach", app, "--", "sh", "-c", "echo from afar"))
    until(lambda: next(job for job in jobs(shell, "run") if job["uuid"] == begun["uuid"])["status"] == "done", 60)
    assert "from afar" in shell.ok("logs", app, "--service", begun["name"])


def test_at_a_terminal(shell: Shell, app: str) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        command = str(BIN / "stackyard")
        os.execve(command, [command, "run", app, "--", "sh"], shell.full_environment())
    try:
        _read(terminal, b"$ ")
        os.write(terminal, b"test -t 0 && echo is-a-$((40+2))-terminal\n")
        _read(terminal, b"is-a-42-terminal")
        os.write(terminal, b"sleep 300\n")
        time.sleep(0.5)
        os.write(terminal, b"\x03")
        os.write(terminal, b"exit 3\n")
        _read(terminal, None)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def _read(terminal: int, word: bytes | None) -> None:
    """Read until the word, or (None) until the end."""
    said = b""
    deadline = time.monotonic() + 60
    while word is None or word not in said:
        assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], said
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            piece = b""
        if not piece:
            assert word is None, said
            return
        said += piece


def test_who_leaves_ends_it(shell: Shell, app: str) -> None:
    command = [BIN / "stackyard", "run", app, "--", "sh", "-c", "echo on; sleep 300"]
    left = subprocess.Popen(command, env=shell.full_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert left.stdout
    assert left.stdout.readline() == b"on\n"
    left.kill()
    left.wait()
    ended = until(
        lambda: next((job for job in jobs(shell, "run") if "has gone" in (job["status_reason"] or "")), None), 60
    )
    assert ended["status"] == "failed"


def test_in_a_replica(shell: Shell, app: str) -> None:
    command = [
        BIN / "stackyard",
        "exec",
        app,
        "--replica",
        "web.1",
        "--",
        "sh",
        "-c",
        "cat; cat /proc/1/cmdline; exit 4",
    ]
    done = subprocess.run(
        command, env=shell.full_environment(), input=b"hi ", capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout[:3]) == (4, b"hi "), done.stderr
    assert done.stdout[3:]
    assert "there are: web.1" in shell.refused("exec", app, "--replica", "web.9", "--", "true")


def test_who_leaves_a_replica_ends_what_was_begun_there(shell: Shell, app: str) -> None:
    count = "n=0; for p in /proc/[0-9]*; do grep -qs 98765 $p/cmdline && n=$((n+1)); done; echo $n"
    words = ["sh", "-c", "trap '' HUP TERM; sleep 98765 & echo on; wait"]
    command = [BIN / "stackyard", "exec", app, "--replica", "web.1", "--", *words]
    left = subprocess.Popen(command, env=shell.full_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert left.stdout
    assert left.stdout.readline() == b"on\n"
    there = ("exec", app, "--replica", "web.1", "--", "sh", "-c", count)
    assert int(shell.ok(*there)) >= 3, "the two that were begun, and the one that counts"
    left.kill()
    left.wait()
    until(lambda: int(shell.ok(*there)) == 1, 60)


def test_secrets_do_not_come_out_of_streams(shell: Shell, app: str) -> None:
    shell.run("stackyard", "config", app, "set", "--secret", "TOLD=open-sesame-42")
    halves = 'printf "%s" "${TOLD%sesame-42}"; echo half >&2; printf "%s\\n" "${TOLD#open-}"; echo "whole $TOLD"'
    said = shell.ok("run", app, "--", "bash", "-c", halves)
    assert "sesame" not in said
    assert said.splitlines()[-1] == "whole ****"
    until(lambda: "open" not in (said := shell.ok("exec", app, "--", "bash", "-c", halves)) and "****" in said, 60)


def test_another_project_s(shell: Shell, app: str) -> None:
    for words in (("run", app, "--", "true"), ("exec", app, "--", "true"), ("jobs", app)):
        done = shell.run("stackyard", *words, cloud="stackyard-other")
        assert done.returncode == 1
        assert "could not be found" in done.stderr


def test_a_schedule(shell: Shell, app: str) -> None:
    fired = until(lambda: [job for job in jobs(shell, "cron") if job["status"] == "done"], 75)
    assert fired[0]["service"] == "tick"
    assert "tick" in shell.ok("logs", app, "--service", "tick")
