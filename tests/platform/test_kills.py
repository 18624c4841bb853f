# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of the worker and of the API at each named step; then: the same end state, nothing orphaned.

The platform's supervisor restarts what was killed. What died has held its lease: the next worker goes on when
that ends (the fixture `platform` makes leases short, so that this takes seconds).
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import docker
import psutil
import pytest

from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

CLUSTER_STEPS = ("MakeAuthority", "MakeNetwork", "AddMachines", "FormCluster", "JoinMachines")
REMOVAL_STEPS = ("RemoveMachines", "RemoveNetwork")
FIRST_PUSH_STEPS = ("DetectServices", "BuildImage", "MakeRelease", "PinService", "StartRun", "SwitchRoute", "Serve")
SECOND_PUSH_STEPS = ("StartRun", "SwitchRoute", "Serve", "StopRun")
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


def moments(steps: Sequence[str]) -> list[tuple[str, str]]:
    """Return when to kill: with each step done and not yet recorded, and once before anything was done.

    Before a later step is the same moment as after the recording of the one before it.
    """
    return [("before", steps[0]), *(("after", step) for step in steps)]


class Killer:
    """Arranges that API and workers die at a step."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.order = pathlib.Path(shell.environment["STACKYARD_STATE_DIR"]) / "run" / "kill-at"

    def arrange(self, at: str) -> None:
        self.order.write_text(json.dumps({"at": at, "pids": self.victims()}))

    def victims(self) -> list[int]:
        """Return the processes of this platform's API and workers."""
        parts = {part["part"]: part for part in json.loads(self.shell.run("stackyard", "status", "--json").stdout)}
        heads = [psutil.Process(int(parts[name]["runs_as"])) for name in ("api", "worker")]
        return [process.pid for head in heads for process in (head, *head.children(recursive=True))]

    @property
    def done(self) -> bool:
        return not self.order.exists()


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def killer(platform: dict[str, str]) -> Iterator[Killer]:
    killer = Killer(Shell(platform))
    yield killer
    killer.order.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return docker.from_env()


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


def belongings(engine: docker.DockerClient, cluster_id: str) -> list[str]:
    """Return all that the local Engine has of a cluster."""
    label = {"label": f"stackyard.cluster={cluster_id}"}
    containers = engine.containers.list(all=True, filters=label)
    networks = [each for each in engine.networks.list() if cluster_id[:8] in each.name]
    volumes = engine.volumes.list(filters=label)
    return [each.name for each in (*containers, *networks, *volumes)]


def make(shell: Shell, name: str) -> dict[str, Any]:
    until(shell, lambda: show(shell, name) or shell.ok("cluster", "create", name, "--nodes", "1", "--no-wait"))
    return until(shell, lambda: _ready(show(shell, name)))


def _ready(cluster: dict[str, Any] | None) -> dict[str, Any] | None:
    assert cluster is None or "FAILED" not in cluster["status"], cluster
    return cluster if cluster and cluster["status"].endswith("_COMPLETE") else None


def remove(shell: Shell, name: str) -> None:
    until(shell, lambda: shell.ok("cluster", "delete", name, "--yes", "--no-wait") or True)
    until(shell, lambda: show(shell, name) is None)


@pytest.mark.parametrize(("moment", "step"), moments(CLUSTER_STEPS))
def test_creation_of_a_cluster(
    shell: Shell, killer: Killer, engine: docker.DockerClient, moment: str, step: str
) -> None:
    killer.arrange(f"{moment}:{step}")
    cluster = make(shell, "killed")
    assert killer.done, "nobody came to that step"
    nodes = engine.containers.list(filters={"label": f"stackyard.cluster={cluster['uuid']}"})
    assert len(nodes) == 2
    listed = nodes[0].exec_run("docker -H unix:///run/docker.sock node ls -q").output.split()
    others = nodes[1].exec_run("docker -H unix:///run/docker.sock node ls -q").output.split()
    assert 2 in (len(listed), len(others)), "the manager knows two members, none of them twice"
    remove(shell, "killed")
    assert belongings(engine, cluster["uuid"]) == []


@pytest.mark.parametrize(("moment", "step"), moments(REMOVAL_STEPS))
def test_removal_of_a_cluster(
    shell: Shell, killer: Killer, engine: docker.DockerClient, moment: str, step: str
) -> None:
    cluster = make(shell, "killed")
    killer.arrange(f"{moment}:{step}")
    remove(shell, "killed")
    assert killer.done
    assert belongings(engine, cluster["uuid"]) == []


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


def running(shell: Shell) -> list[tuple[str, int]]:
    found = until(shell, lambda: shell.json("ps", "killed"))
    return sorted((each["service"], each["release"]) for each in found if each["state"] == "running")


def destroy(shell: Shell) -> None:
    until(shell, lambda: shell.ok("destroy", "killed") or True)
    until(shell, lambda: "killed" not in [app["name"] for app in shell.json("apps")])


@pytest.mark.parametrize(("moment", "step"), moments(FIRST_PUSH_STEPS))
def test_first_push(shell: Shell, killer: Killer, home: str, tmp_path: pathlib.Path, moment: str, step: str) -> None:
    killer.arrange(f"{moment}:{step}")
    push(shell, write(tmp_path, "one"))
    assert killer.done, "nobody came to that step"
    assert running(shell) == [("redis", 1), ("web", 1)]
    assert [each["number"] for each in shell.json("releases", "killed")] == [1]
    destroy(shell)


@pytest.mark.parametrize(("moment", "step"), moments(SECOND_PUSH_STEPS))
def test_second_push(shell: Shell, killer: Killer, home: str, tmp_path: pathlib.Path, moment: str, step: str) -> None:
    if not builds(shell):
        push(shell, write(tmp_path, "one"))
    newest = shell.json("releases", "killed")[0]["number"]
    killer.arrange(f"{moment}:{step}")
    push(shell, write(tmp_path, f"after {moment} {step}"))
    until(shell, lambda: killer.done)
    until(shell, lambda: running(shell) == [("redis", 1), ("web", newest + 1)])


@pytest.mark.parametrize(("moment", "step"), moments(DESTROY_STEPS))
def test_destroy(
    shell: Shell, killer: Killer, engine: docker.DockerClient, home: str, tmp_path: pathlib.Path, moment: str, step: str
) -> None:
    if not builds(shell):
        push(shell, write(tmp_path, "one"))
    killer.arrange(f"{moment}:{step}")
    destroy(shell)
    assert killer.done
    cluster = show(shell, home)
    assert cluster
    for node in engine.containers.list(filters={"label": f"stackyard.cluster={cluster['uuid']}"}):
        inner = "docker -H unix:///run/docker.sock"
        left = node.exec_run(["sh", "-c", f"{inner} ps -aq; {inner} volume ls -q"]).output.decode().split()
        assert left == [], node.name
