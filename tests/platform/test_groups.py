# SPDX-License-Identifier: Apache-2.0
"""A real Galera of three members: begun together, all killed under writes, and one that loses its volume."""

from __future__ import annotations

import concurrent.futures
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from stackyard.local import images
from tests.platform.clusters import Host
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]

MEMBERS = ("db-1", "db-2", "db-3")
IMAGE = "mariadb:sytest-group"
COMPOSE = f"""
services:
  db:
    image: {IMAGE}
    deploy: {{replicas: 3}}
    environment: {{MARIADB_DATABASE: shop}}
    volumes: ["data:/var/lib/mysql"]
    x-stackyard: {{group: {{}}}}
volumes: {{data: }}
"""
LOOK = "docker ps -q -f label=stackyard.service={} -f status=running | head -1"


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def image(platform: dict[str, str]) -> Iterator[str]:
    client = docker.from_env(timeout=600)
    made = images.build(client, ["mariadb"], lambda name, line: None)["mariadb"]
    client.api.tag(made, *IMAGE.split(":"))
    yield IMAGE
    client.api.remove_image(IMAGE)


@pytest.fixture(scope="module")
def place(shell: Shell, image: str) -> Iterator[str]:
    shell.ok("cluster", "create", "groups", "--nodes", "1")
    yield "groups"
    shell.ok("cluster", "delete", "groups", "--yes")


def until(look: Callable[[], Any], seconds: float = 240) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(f"it did not come to an end in {seconds} s")


class Galera:
    """The group `db` of an application, and what is done to it from below."""

    def __init__(self, shell: Shell, host: Host, cluster: str, app: str) -> None:
        self.shell, self.host, self.app = shell, host, app
        found = shell.json("cluster", "show", cluster)
        self.cluster = str(found["uuid"])

    def push(self, folder: pathlib.Path, cluster: str) -> None:
        (folder / "compose.yaml").write_text(COMPOSE)
        self.shell.ok("push", str(folder), "--app", self.app, "--cluster", cluster, timeout=600)

    def show(self) -> dict[str, Any]:
        found: dict[str, Any] = self.shell.json("group", "show", self.app)[0]
        return found

    def synced(self) -> set[str]:
        return {each["name"] for each in self.show()["members"] if each["state"] == "synced"}

    def nodes(self) -> list[Container]:
        return self.host.nodes(self.cluster)

    def on_node(self, command: str) -> str:
        """Run a command on each node; return what they print."""
        return "".join(node.exec_run(["sh", "-c", command]).output.decode() for node in self.nodes())

    def sql(self, member: str, statement: str) -> str | None:
        """Run a statement on a member; None where it was not acknowledged."""
        for node in self.nodes():
            command = f'c=$({LOOK.format(member)}); [ -n "$c" ] || exit 99; docker exec $c mariadb -NBe "$1" shop'
            code, output = node.exec_run(["sh", "-c", command, "sh", statement])
            if code != 99:
                return str(output.decode()) if code == 0 else None
        return None

    def cluster_ids(self) -> set[str]:
        asking = "SHOW STATUS LIKE 'wsrep_cluster_state_uuid'"
        return {(self.sql(member, asking) or "").split("\t")[-1].strip() for member in MEMBERS}

    def kill_all(self) -> None:
        self.on_node("docker kill $(docker ps -q -f label=stackyard.group=db)")


@pytest.fixture
def galera(shell: Shell, host: Host, place: str, tmp_path: pathlib.Path) -> Iterator[Galera]:
    found = Galera(shell, host, place, "galera")
    found.push(tmp_path, place)
    yield found
    shell.ok("destroy", "galera", "--yes")


def test_three_members_form_one_cluster_and_come_back_from_a_total_loss(galera: Galera) -> None:
    assert galera.synced() == set(MEMBERS)
    assert len(galera.cluster_ids()) == 1
    galera.sql("db-1", "CREATE TABLE t (n INT PRIMARY KEY)")
    acknowledged = write_until_killed(galera)
    until(lambda: galera.show()["epoch"] == 2 and galera.synced() == set(MEMBERS))
    for member in MEMBERS:
        assert acknowledged <= set((galera.sql(member, "SELECT n FROM t") or "").split())
    assert len(galera.cluster_ids()) == 1
    words = [event["message"] for event in galera.shell.json("events", "galera") if event["kind"] == "group"]
    assert sum("may begin" in each for each in words) == 2
    assert any("copying the volumes" in each for each in words)


def write_until_killed(galera: Galera) -> set[str]:
    """Write on all members, kill them all meanwhile, and return what was acknowledged."""
    killed, acknowledged = threading.Event(), set[str]()

    def write(number: int) -> None:
        for at in range(number, 3000, 3):
            if killed.is_set():
                return
            if galera.sql(MEMBERS[number], f"INSERT INTO t VALUES ({at})") is not None:
                acknowledged.add(str(at))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, number) for number in range(3)]
        until(lambda: len(acknowledged) >= 9)
        galera.kill_all()
        killed.set()
        for writer in writers:
            writer.result()
    return acknowledged


def test_a_member_that_loses_its_volume_joins_again(galera: Galera) -> None:
    galera.sql("db-1", "CREATE TABLE t (n INT PRIMARY KEY)")
    galera.sql("db-1", "INSERT INTO t VALUES (1)")
    galera.on_node(f"c=$({LOOK.format('db-3')}); [ -n \"$c\" ] && docker exec $c sh -c 'rm -rf /var/lib/mysql/*'")
    galera.on_node(f'c=$({LOOK.format("db-3")}); [ -n "$c" ] && docker kill $c')
    until(lambda: "db-3" not in galera.synced())
    until(lambda: galera.synced() == set(MEMBERS))
    assert (galera.sql("db-3", "SELECT n FROM t") or "").split() == ["1"]
    assert galera.show()["epoch"] == 1


@pytest.mark.timeout(7200)
def test_twenty_groups_of_three_form_twenty_clusters(
    shell: Shell, host: Host, place: str, tmp_path: pathlib.Path
) -> None:
    for number in range(20):
        found = Galera(shell, host, place, f"galera-{number}")
        found.push(tmp_path, place)
        assert len(found.cluster_ids()) == 1
        assert found.show()["epoch"] == 1
        shell.ok("destroy", f"galera-{number}", "--yes")
