# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of the worker and of the API at each named step of a push; then: the same end state, nothing orphaned."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.clusters import INNER, Host, inside
from tests.platform.killing import Killer, moments
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

FIRST_PUSH_STEPS = ("DetectServices", "BuildImage", "MakeRelease", "PinService", "StartRun", "SwitchRoute", "Serve")
SECOND_PUSH_STEPS = ("StartRun", "SwitchRoute", "Serve", "StopRun")
PROMOTION_STEPS = ("StartRun", "SwitchRoute", "Serve", "StopRun")
DESTROY_STEPS = ("RemoveRoute", "RemoveRuns", "RemoveArtifacts")
PROGRAM = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"VERSION"
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
COMPOSE = """
services:
  web: {build: ., ports: ["8000"], depends_on: [redis]}
  redis: {image: "redis:7", volumes: ["data:/data"]}
volumes: {data: {}}
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


def until(shell: Shell, look: Callable[[], Any], seconds: float = 120) -> Any:
    """Return what `look` finds; the platform may be away for a moment."""
    deadline = time.monotonic() + seconds
    said = ""
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except AssertionError as error:  # a command that was refused
            said = str(error)
        time.sleep(0.3)
    raise AssertionError(f"it did not come to an end in {seconds} s; {said}")


def show(shell: Shell, name: str) -> dict[str, Any] | None:
    return next((each for each in shell.json("cluster", "list") if each["name"] == name), None)


def make(shell: Shell, name: str) -> dict[str, Any]:
    until(shell, lambda: show(shell, name) or shell.ok("cluster", "create", name, "--nodes", "1", "--no-wait"))
    return until(shell, lambda: _ready(show(shell, name)))


def _ready(cluster: dict[str, Any] | None) -> dict[str, Any] | None:
    assert cluster is None or "FAILED" not in cluster["status"], cluster
    return cluster if cluster and cluster["status"].endswith("_COMPLETE") else None


def remove(shell: Shell, name: str) -> None:
    until(shell, lambda: shell.ok("cluster", "delete", name, "--yes", "--no-wait") or True)
    until(shell, lambda: show(shell, name) is None)


@pytest.fixture(scope="module")
def home(shell: Shell) -> Iterator[str]:
    """The cluster that the pushes go to."""
    make(shell, "kills-home")
    yield "kills-home"
    remove(shell, "kills-home")


def write(folder: pathlib.Path, version: str) -> pathlib.Path:
    (folder / "app.py").write_text(PROGRAM.replace("VERSION", version))
    (folder / "requirements.txt").write_text("")
    (folder / "Procfile").write_text("web: python app.py\n")
    (folder / "compose.yaml").write_text(COMPOSE)
    return folder


def push(shell: Shell, folder: pathlib.Path) -> None:
    """Hand the source over once, and wait for the end."""
    before = len(builds(shell))
    until(shell, lambda: len(builds(shell)) > before or shell.ok(*_push(folder)))
    until(shell, lambda: builds(shell)[0]["status"] == "DEPLOYMENT_COMPLETE")


def _push(folder: pathlib.Path) -> list[str]:
    return ["push", str(folder), "--app", "killed", "--cluster", "kills-home", "--detach"]


def builds(shell: Shell) -> list[dict[str, Any]]:
    apps = [app["name"] for app in shell.json("apps")]
    return list(shell.json("builds", "killed")) if "killed" in apps else []


def running(shell: Shell, environment: str = "production") -> list[tuple[str, int]]:
    found = until(shell, lambda: shell.json("ps", "killed", "--env", environment))
    return sorted((each["service"], each["release"]) for each in found if each["state"] == "running")


def destroy(shell: Shell) -> None:
    until(shell, lambda: shell.ok("destroy", "killed") or True)
    until(shell, lambda: "killed" not in [app["name"] for app in shell.json("apps")])


def at(steps: tuple[str, ...], *quick: str) -> pytest.MarkDecorator:
    """Return a test's parameters: all moments at which to kill, of which only the quick ones are for every run."""
    chosen = [pytest.param(each, marks=() if each in quick else pytest.mark.slow) for each in moments(*steps)]
    return pytest.mark.parametrize("moment", chosen)


@at(FIRST_PUSH_STEPS, "after:MakeRelease", "after:StartRun", "after:SwitchRoute")
def test_first_push(shell: Shell, killer: Killer, home: str, tmp_path: pathlib.Path, moment: str) -> None:
    killer.arrange(moment)
    push(shell, write(tmp_path, "one"))
    assert killer.done, "nobody came to that step"
    assert running(shell) == [("redis", 1), ("web", 1)]
    assert [each["number"] for each in shell.json("releases", "killed")] == [1]
    destroy(shell)


@at(SECOND_PUSH_STEPS, "after:StartRun", "after:SwitchRoute")
def test_second_push(shell: Shell, killer: Killer, home: str, tmp_path: pathlib.Path, moment: str) -> None:
    if not builds(shell):
        push(shell, write(tmp_path, "one"))
    newest = shell.json("releases", "killed")[0]["number"]
    killer.arrange(moment)
    push(shell, write(tmp_path, f"after {moment}"))
    until(shell, lambda: killer.done)
    until(shell, lambda: running(shell) == [("redis", 1), ("web", newest + 1)])


@at(PROMOTION_STEPS, "after:SwitchRoute")
def test_promotion(shell: Shell, killer: Killer, home: str, tmp_path: pathlib.Path, moment: str) -> None:
    if not builds(shell):
        push(shell, write(tmp_path, "one"))
    if "staging" not in [each["name"] for each in shell.json("environments", "killed")]:
        shell.ok("environments", "killed", "add", "staging")
    tried = shell.json("push", str(write(tmp_path, f"promoted {moment}")), "--app", "killed", "--env", "staging")
    # What is stopped or started for the push is none of the promotion's steps.
    until(
        shell, lambda: [each for each in running(shell, "staging") if each[0] == "web"] == [("web", tried["release"])]
    )
    killer.arrange(moment)
    shell.ok("promote", "killed", "--to", "production", "--no-wait")
    until(shell, lambda: killer.done)
    number = tried["release"] + 1
    until(shell, lambda: running(shell) == [("redis", 1), ("web", number)])
    made = until(shell, lambda: shell.json("releases", "killed", "--env", "production"))
    assert [each["number"] for each in made if each["number"] > tried["release"]] == [number], "one release, not two"
    assert (made[0]["current"], made[0]["images"]) == (True, tried["images"])


@at(DESTROY_STEPS, "after:RemoveRuns")
def test_destroy(shell: Shell, killer: Killer, host: Host, home: str, tmp_path: pathlib.Path, moment: str) -> None:
    if not builds(shell):
        push(shell, write(tmp_path, "one"))
    killer.arrange(moment)
    destroy(shell)
    assert killer.done
    cluster = show(shell, home)
    assert cluster
    for node in host.nodes(cluster["uuid"]):
        assert inside(node, f"{INNER} ps -aq; {INNER} volume ls -q") == (0, ""), node.name
