# SPDX-License-Identifier: Apache-2.0
"""A cluster by `stackyard cluster` alone, and plain docker on it with what `cluster config` gives."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.clusters import NEXT_IMAGE
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(300)]

NAME = "friendly"
IMAGE = "stackyard/sytest-busybox:latest"
STACK = f"""
version: "3.8"
services:
  web:
    image: {IMAGE}
    command: sleep 1000
    init: true
    deploy: {{replicas: 2, endpoint_mode: dnsrr, placement: {{constraints: [node.role == worker]}}}}
"""

Docker = Callable[..., str]


@pytest.fixture(scope="module")
def shell(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A user's shell whose certificates go to a folder of the test's."""
    return Shell({**platform, "XDG_DATA_HOME": str(tmp_path_factory.mktemp("data"))})


@pytest.fixture(scope="module")
def created(shell: Shell) -> Iterator[str]:
    """Make the cluster as without a terminal; gives what was told meanwhile."""
    words = ["--nodes", "1", "--flavor", "small", "--label", "drain_seconds=5", "--label", "my.own=yes"]
    done = shell.run("stackyard", "cluster", "create", NAME, *words)
    assert done.returncode == 0, done.stderr
    yield done.stderr
    shell.run("stackyard", "cluster", "delete", NAME)


@pytest.fixture(scope="module")
def docker(shell: Shell, created: str) -> Docker:
    """Plain docker after `eval "$(stackyard cluster config NAME)"`; returns what a command prints."""
    return with_exports(shell.ok("cluster", "config", NAME))


def with_exports(exports: str) -> Docker:
    def run(*words: str, **options: Any) -> str:
        script = f"{exports}\nexec docker {shlex.join(words)}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=False, **options)
        assert done.returncode == 0, f"docker {shlex.join(words)}\n{done.stderr!r}"
        return done.stdout.decode()

    return run


def until(look: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def nodes(shell: Shell, group: str = "default-worker") -> list[dict[str, Any]]:
    """Return the nodes of a group."""
    groups = {each["name"]: each["nodes"] for each in shell.json("cluster", "show", NAME)["nodegroups"]}
    return list(groups[group])


def test_create_tells_each_node_as_it_comes(shell: Shell, created: str) -> None:
    assert len(re.findall(r"^ +\d+\.\d s  sy-\w+-\w+-0  ready$", created, re.MULTILINE)) == 2
    assert re.search(rf"✓ create cluster {NAME} \(\d+\.\d s\)\n$", created)
    assert f"there is a cluster {NAME} already (CREATE_COMPLETE)" in shell.refused("cluster", "create", NAME)


def test_show_draws_groups_and_nodes(shell: Shell, created: str) -> None:
    out = shell.ok("cluster", "show", NAME)
    assert out.splitlines()[0] == f"{NAME}  CREATE_COMPLETE  HEALTHY"
    assert re.search(r"^  labels   .*drain_seconds=5", out, re.MULTILINE)
    assert re.search(r"^├── default-master  master, 1/1 ready, .*image node\n│   └── sy-\S+ +ready", out, re.MULTILINE)
    assert re.search(r"^└── default-worker  worker, 1/1 ready, flavor small", out, re.MULTILINE)
    assert NAME in shell.ok("cluster", "list")


def test_plain_docker(shell: Shell, docker: Docker, tmp_path: pathlib.Path) -> None:
    assert docker("node", "ls", "--format", "{{.Status}}").split() == ["Ready", "Ready"]
    folder = pathlib.Path(shell.json("cluster", "config", NAME)["DOCKER_CERT_PATH"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    load(shell, docker)
    (tmp_path / "stack.yaml").write_text(STACK)
    docker("stack", "deploy", "--resolve-image", "never", "-c", str(tmp_path / "stack.yaml"), "shop")
    running = ["stack", "ps", "shop", "--filter", "desired-state=running", "--format", "{{.CurrentState}}"]
    until(lambda: docker(*running).count("Running") == 2)
    docker("service", "scale", "--detach", "shop_web=3")
    until(lambda: docker(*running).count("Running") == 3)


def load(shell: Shell, docker: Docker) -> None:
    """Give the image to the worker: a Swarm takes images from registries or from its nodes."""
    packed = subprocess.run(["docker", "save", IMAGE], capture_output=True, check=True).stdout
    (node,) = nodes(shell)
    docker("--host", f"tcp://{node['address']}:2376", "load", input=packed)


def test_resize_and_the_node_that_is_named_goes(shell: Shell, docker: Docker) -> None:
    first = nodes(shell)[0]["name"]
    assert len(shell.json("cluster", "resize", NAME, "--nodes", "2")["nodegroups"][1]["nodes"]) == 2
    done = shell.run("stackyard", "cluster", "resize", NAME, "--remove", first)
    assert done.returncode == 0, done.stderr
    assert f"{first}  gone" in done.stderr
    assert first not in [node["name"] for node in nodes(shell)]
    assert first not in docker("node", "ls", "--format", "{{.Hostname}}")
    assert "nope" in shell.refused("cluster", "resize", NAME, "--remove", "nope")


def test_node_groups(shell: Shell, docker: Docker) -> None:
    shell.ok("cluster", "nodegroup", "add", NAME, "big", "--flavor", "medium", "--node-label", "disk=ssd")
    assert re.search(r"^big +worker +1 +1 ", shell.ok("cluster", "nodegroup", "list", NAME), re.MULTILINE)
    (node,) = nodes(shell, "big")
    label = ["node", "inspect", node["name"], "--format", "{{.Spec.Labels.disk}}"]
    assert docker(*label).strip() == "ssd"
    shell.ok("cluster", "nodegroup", "remove", NAME, "big")
    assert node["name"] not in docker("node", "ls", "--format", "{{.Hostname}}")


def test_upgrade_to_another_image(shell: Shell, docker: Docker) -> None:
    assert "there are: " in shell.refused("cluster", "upgrade", NAME, "--image", "nope")
    before = docker("node", "ls", "--format", "{{.ID}}").split()
    found = shell.json("cluster", "upgrade", NAME, "--image", NEXT_IMAGE)
    assert {group["image_id"] for group in found["nodegroups"]} == {NEXT_IMAGE}
    assert sorted(docker("node", "ls", "--format", "{{.ID}}").split()) == sorted(before), "they are the same members"
    templates = {each["uuid"]: each["name"] for each in shell.json("cluster", "templates")}
    assert templates[found["cluster_template_id"]] == f"swarm-{NEXT_IMAGE}"


def test_rotation_lets_clients_go_on_and_revoking_does_not(shell: Shell, docker: Docker) -> None:
    shell.ok("cluster", "rotate", NAME)
    assert docker("node", "ls", "--format", "{{.Status}}").split() == ["Ready", "Ready"]
    old = with_exports(shell.ok("cluster", "config", NAME, "--dir", f"{shell.environment['XDG_DATA_HOME']}/old"))
    shell.ok("cluster", "rotate", NAME, "--revoke")
    with pytest.raises(AssertionError, match=r"certificate|tls"):
        old("node", "ls")
    new = with_exports(shell.ok("cluster", "config", NAME))
    assert new("node", "ls", "--format", "{{.Status}}").split() == ["Ready", "Ready"]


def test_delete_takes_the_certificates_along(shell: Shell, created: str) -> None:
    folder = pathlib.Path(shell.environment["XDG_DATA_HOME"]) / "stackyard" / "clusters"
    assert os.listdir(folder)
    shell.ok("cluster", "delete", NAME)
    assert os.listdir(folder) == []
    assert "could not be found" in shell.refused("cluster", "show", NAME)
