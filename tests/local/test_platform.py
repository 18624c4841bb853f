# SPDX-License-Identifier: Apache-2.0
"""The one-machine platform as a whole, with a state folder, ports and names of its own: up, down, and what kills it."""

from __future__ import annotations

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import docker
import psutil
import pytest
import requests

from stackyard.local.supervisor import MARKER

pytestmark = [pytest.mark.engine, pytest.mark.platform]
BIN = pathlib.Path(sys.executable).parent


class Platform:
    """A platform seen from its command line only."""

    def __init__(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sytest-platform-"))
        self.state = self.folder / "state"
        self.instance = f"sytest-platform-{uuid.uuid4().hex[:6]}"
        ports = free_ports(4)
        self.ports = dict(zip(("api", "identity", "registry", "router"), ports, strict=True))
        foreign = {"OS_AUTH_URL": "https://elsewhere.invalid", "OS_USERNAME": "nobody"}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "STACKYARD_"))}
        self.environment = kept | foreign | {"STACKYARD_STATE_DIR": str(self.state)}

    @property
    def options(self) -> list[str]:
        ports = [word for name, port in self.ports.items() for word in (f"--{name}-port", str(port))]
        return ["--instance", self.instance, *ports]

    def run(self, *arguments: str, timeout: float = 400) -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "stackyard"), *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(BIN / "stackyard"), "up", *arguments]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def up(self, *arguments: str) -> str:
        done = self.run("up", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def parts(self) -> dict[str, dict[str, Any]]:
        done = self.run("status", "--json")
        return {part["part"]: part for part in json.loads(done.stdout)}

    def is_up(self) -> bool:
        return all(part["status"] == "up" for part in self.parts().values())

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARKER) == str(self.state) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def containers(self, *, running: bool) -> list[str]:
        label = {"label": f"stackyard.instance={self.instance}"}
        return [str(each.name) for each in docker.from_env().containers.list(all=not running, filters=label)]

    def openstack(self, *arguments: str) -> Any:
        script = f'eval "$({BIN / "stackyard"} env)" && openstack {" ".join(arguments)} -f json'
        done = subprocess.run(
            ["sh", "-c", script], env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def wait(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    made = Platform()
    try:
        made.up(*made.options)
        yield made
    finally:
        made.run("down", "--purge")
        shutil.rmtree(made.folder, ignore_errors=True)


def test_every_part_is_up_and_tells_version_and_address(platform: Platform) -> None:
    parts = platform.parts()
    assert list(parts) == ["keystone", "api", "worker", "registry", "router", "engine"]
    assert platform.run("status").returncode == 0
    assert all(part["status"] == "up" and part["version"] for part in parts.values()), parts
    assert re.fullmatch(r"last heartbeat \d+ s ago", parts["worker"]["note"])
    for part in ("keystone", "api", "registry", "router"):
        port = platform.ports["identity" if part == "keystone" else part]
        assert parts[part]["address"].split("/")[2] == f"127.0.0.1:{port}"
        assert parts[part]["memory_mb"] > 0


def test_the_unmodified_client_works_at_once(platform: Platform) -> None:
    token = platform.openstack("token", "issue")
    assert len(token["id"]) > 100
    types = {service["Type"] for service in platform.openstack("catalog", "list")}
    assert types == {
        "identity",
        "container-infra",
        "container-infrastructure-management",
        "application_deployment",
    }
    assert platform.openstack("coe", "cluster", "list") == []
    names = {each["Name"] for each in platform.openstack("--os-cloud", "stackyard-admin", "project", "list")}
    assert names == {"admin", "demo", "other", "service"}
    other = platform.openstack("--os-cloud", "stackyard-other", "token", "issue")
    assert other["project_id"] != token["project_id"]


def test_a_bad_token_is_refused_and_a_good_one_not(platform: Platform) -> None:
    url = f"http://127.0.0.1:{platform.ports['api']}/container-infra/v1/clusters"
    good = platform.openstack("token", "issue")["id"]
    statuses = [requests.get(url, headers={"X-Auth-Token": t}, timeout=20).status_code for t in ("x", good)]
    assert statuses == [401, 200]


def test_nothing_secret_is_readable_or_in_a_command_line(platform: Platform) -> None:
    secrets = [path.read_text().strip() for path in (platform.state / "secrets").glob("*.password")]
    assert len(secrets) >= 4
    for path in platform.state.rglob("*"):
        if path.is_file() and any(s.encode() in path.read_bytes() for s in secrets):
            assert path.stat().st_mode & 0o077 == 0, path
    assert platform.state.stat().st_mode & 0o777 == 0o700
    lines = [" ".join(process.cmdline()) for process in platform.processes()]
    logs = [path.read_text(errors="replace") for path in (platform.state / "logs").iterdir()]
    assert not [s for s in secrets for text in (*lines, *logs) if s in text]


def test_up_twice_changes_nothing(platform: Platform) -> None:
    before = {name: part["runs_as"] for name, part in platform.parts().items()}
    began = time.monotonic()
    platform.up()
    assert time.monotonic() - began < 30
    assert {name: part["runs_as"] for name, part in platform.parts().items()} == before


def test_two_at_once_both_succeed_and_the_second_says_that_it_waits(platform: Platform) -> None:
    both = [platform.start(), platform.start()]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("waiting" in each for each in said) == 1


def test_supervised_processes_come_back_by_themselves(platform: Platform) -> None:
    before = platform.parts()
    for name in ("keystone", "api", "worker"):
        os.kill(int(before[name]["runs_as"]), signal.SIGKILL)
    wait(lambda: platform.is_up() and platform.parts()["api"]["runs_as"] != before["api"]["runs_as"])
    after = platform.parts()
    assert all(after[name]["restarts"] == before[name]["restarts"] + 1 for name in ("keystone", "api", "worker"))


def test_containers_that_were_killed_or_removed_come_back(platform: Platform) -> None:
    client = docker.from_env()
    client.containers.get(f"{platform.instance}-router").kill()
    client.containers.get(f"{platform.instance}-registry").remove(force=True)
    assert platform.run("status").returncode == 1
    platform.up()
    assert platform.is_up()


def test_killed_supervisor_leaves_no_orphans_after_the_next_up(platform: Platform) -> None:
    orphans = platform.processes()
    supervisor = int((platform.state / "run/supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    wait(lambda: platform.run("status").returncode == 1)
    assert "supervisor was killed" in platform.up()
    assert platform.is_up()
    assert not [process for process in orphans if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_down_leaves_the_data_and_up_brings_it_back(platform: Platform) -> None:
    before = platform.openstack("token", "issue")["project_id"]
    (platform.state / "sources" / "kept").write_text("x")
    assert platform.run("down").returncode == 0
    assert platform.processes() == []
    assert platform.containers(running=True) == []
    assert platform.run("status").returncode == 1
    assert platform.run("down").returncode == 0
    platform.up()
    assert platform.is_up()
    assert platform.openstack("token", "issue")["project_id"] == before
    assert (platform.state / "sources" / "kept").exists()


def test_moved_ports_are_remembered_and_followed_by_the_catalog(platform: Platform) -> None:
    for part, port in zip(("api", "router"), free_ports(2), strict=True):
        platform.ports[part] = port
        platform.up(f"--{part}-port", str(port))
    platform.up()
    assert platform.is_up()
    catalog = platform.openstack("--os-cloud", "stackyard-admin", "endpoint", "list")
    urls = {each["URL"] for each in catalog if each["Service Type"] == "application_deployment"}
    assert urls == {f"http://127.0.0.1:{platform.ports['api']}/application-deployment/v1"}
    assert requests.get(f"http://127.0.0.1:{platform.ports['router']}/", timeout=5).status_code == 404


def test_taken_port_is_named_and_nothing_is_half_started(platform: Platform) -> None:
    assert platform.run("down").returncode == 0
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", platform.ports["api"]))
        holder.listen()
        done = platform.run("up")
        assert done.returncode == 1
        for word in (str(platform.ports["api"]), f"process {os.getpid()}", "--api-port"):
            assert word in done.stderr
        assert platform.processes() == []
        assert platform.containers(running=True) == []
    platform.up()


def test_bad_option_and_no_platform_say_what_to_do(platform: Platform) -> None:
    done = platform.run("up", "--api-port", "many")
    assert done.returncode == 1
    assert "port" in done.stderr
    assert "Traceback" not in done.stderr
    assert platform.is_up()
    for command in ("status", "env"):
        done = platform.run(command, "--state-dir", str(platform.folder / "none"))
        assert done.returncode == 1
        assert "stackyard up" in done.stderr
    assert not (platform.folder / "none").exists()


@pytest.mark.slow
def test_killed_up_at_any_moment_is_finished_by_the_next_and_purge_leaves_nothing() -> None:
    made = Platform()
    chance = random.Random(7)
    try:
        for _ in range(5):
            process = made.start(*made.options)
            time.sleep(chance.uniform(0.5, 9))
            process.kill()
            process.communicate()
        made.up(*made.options)
        assert made.is_up()
        assert made.openstack("coe", "cluster", "list") == []
    finally:
        assert made.run("down", "--purge").returncode == 0
    assert made.processes() == []
    assert made.containers(running=False) == []
    assert not made.state.exists()
    client = docker.from_env()
    label = {"label": f"stackyard.instance={made.instance}"}
    assert client.networks.list(filters=label) == []
    assert client.volumes.list(filters=label) == []
    tags = [tag for image in client.images.list() for tag in image.tags]
    assert not [tag for tag in tags if tag.startswith(f"127.0.0.1:{made.ports['registry']}/")]
    assert made.run("down", "--purge").returncode == 0
    shutil.rmtree(made.folder)
