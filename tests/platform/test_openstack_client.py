# SPDX-License-Identifier: Apache-2.0
"""The unmodified `openstack` client: a template and a cluster from beginning to end, and plain docker on it."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import time
from typing import Any

import pytest

from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


def openstack(shell: Shell, *words: str, cloud: str = "stackyard") -> str:
    done = shell.run("openstack", *words, cloud=cloud)
    assert done.returncode == 0, f"openstack {' '.join(words)}\n{done.stderr}"
    return done.stdout


def shown(shell: Shell, *words: str) -> Any:
    return json.loads(openstack(shell, *words, "-f", "json"))


def until(shell: Shell, name: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        cluster: dict[str, Any] = shown(shell, "coe", "cluster", "show", name)
        assert "FAILED" not in cluster["status"], cluster
        if cluster["status"] == status:
            return cluster
    raise AssertionError(cluster)


def test_identity_and_catalog(shell: Shell) -> None:
    for cloud in ("stackyard", "stackyard-admin", "stackyard-other"):
        assert openstack(shell, "token", "issue", "-f", "value", "-c", "id", cloud=cloud).strip()
    types = {each["Type"] for each in shown(shell, "catalog", "list")}
    assert types >= {"identity", "container-infra", "application_deployment"}


def test_a_clusters_whole_life(shell: Shell, tmp_path: pathlib.Path) -> None:
    template = ["coe", "cluster", "template"]
    needed = ["--coe", "swarm-mode", "--image", "node", "--external-network", "public"]
    openstack(shell, *template, "create", "client-t", *needed)
    assert "client-t" in [each["name"] for each in shown(shell, *template, "list")]
    openstack(shell, "coe", "cluster", "create", "client-c", "--cluster-template", "client-t", "--node-count", "1")
    cluster = until(shell, "client-c", "CREATE_COMPLETE")
    assert (cluster["node_count"], cluster["master_count"], cluster["health_status"]) == (1, 1, "HEALTHY")
    groups = shown(shell, "coe", "nodegroup", "list", "client-c")
    assert sorted((each["name"], each["node_count"], each["status"]) for each in groups) == [
        ("default-master", 1, "CREATE_COMPLETE"),
        ("default-worker", 1, "CREATE_COMPLETE"),
    ]
    assert sorted(docker_nodes(shell, tmp_path)) == ["Ready", "Ready"]
    openstack(shell, "coe", "cluster", "resize", "client-c", "2")
    assert until(shell, "client-c", "UPDATE_COMPLETE")["node_count"] == 2
    assert docker_nodes(shell, tmp_path) == ["Ready"] * 3
    openstack(shell, "coe", "cluster", "delete", "client-c")
    deadline = time.monotonic() + 60
    while "client-c" in [each["name"] for each in shown(shell, "coe", "cluster", "list")]:
        assert time.monotonic() < deadline
    openstack(shell, *template, "delete", "client-t")
    assert "client-t" not in [each["name"] for each in shown(shell, *template, "list")]


def docker_nodes(shell: Shell, folder: pathlib.Path) -> list[str]:
    """Return the states of the nodes, as plain docker tells them with the certificates of `cluster config`."""
    said = openstack(shell, "coe", "cluster", "config", "client-c", "--dir", str(folder), "--output-certs", "--force")
    exports = dict(re.findall(r"export (DOCKER_\w+)=(\S+)", said))
    assert exports["DOCKER_HOST"].startswith("tcp://")
    command = ["docker", "node", "ls", "--format", "{{.Status}}"]
    environment = {**os.environ, **exports}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_another_project_sees_nothing_of_it(shell: Shell) -> None:
    done = shell.run("openstack", "coe", "cluster", "show", "client-c", cloud="stackyard-other")
    assert done.returncode != 0
    assert "could not be found" in done.stderr
