# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own services deployed by one command, and used with the unmodified `openstack` client."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.platform.shell import Shell

pytestmark = [
    pytest.mark.platform,
    pytest.mark.engine,
    pytest.mark.openstack,
    pytest.mark.timeout(2400),
]
CLOUD = "openstack"


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def deployed(shell: Shell) -> Iterator[dict[str, Any]]:
    told = shell.json("openstack", "deploy", timeout=2000)
    yield told
    shell.ok("openstack", "destroy", "--yes", timeout=600)


def client(shell: Shell, *words: str) -> Any:
    done = shell.run("openstack", *words, "-f", "json", cloud=CLOUD)
    assert done.returncode == 0, f"openstack {' '.join(words)}\n{done.stderr}"
    return json.loads(done.stdout)


def test_the_client_gets_a_token_and_finds_the_services(shell: Shell, deployed: dict[str, Any]) -> None:
    assert deployed["cloud"] == CLOUD
    assert client(shell, "token", "issue")["id"]
    catalog = {each["Type"]: each["Endpoints"] for each in client(shell, "catalog", "list")}
    assert {"identity", "placement", "image", "network", "compute", "orchestration"} <= catalog.keys()
    public = [each["url"] for each in catalog["image"] if each["interface"] == "public"]
    assert public == [f"{deployed['url']}/image"]


def test_an_image_holds_what_was_put_into_it(shell: Shell, deployed: dict[str, Any], tmp_path: pathlib.Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.write_bytes(b"a disk's bytes")
    made = client(shell, "image", "create", "disk", "--disk-format", "raw", "--file", str(disk))
    assert client(shell, "image", "show", made["id"])["status"] == "active"
    assert shell.run("openstack", "image", "save", made["id"], "--file", str(copy), cloud=CLOUD).returncode == 0
    assert copy.read_bytes() == disk.read_bytes()


def test_a_network_and_a_port(shell: Shell, deployed: dict[str, Any]) -> None:
    network = client(shell, "network", "create", "net")
    client(shell, "subnet", "create", "sub", "--network", network["id"], "--subnet-range", "10.99.0.0/24")
    port = client(shell, "port", "create", "port", "--network", network["id"])
    assert port["fixed_ips"][0]["ip_address"].startswith("10.99.0.")


def test_a_server_becomes_active_on_the_fake_hypervisor(
    shell: Shell, deployed: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"boot")
    image = client(shell, "image", "create", "boot", "--disk-format", "raw", "--file", str(disk))
    client(shell, "flavor", "create", "tiny", "--ram", "64", "--disk", "0", "--vcpus", "1")
    network = client(shell, "network", "create", "servers")
    client(shell, "subnet", "create", "servers", "--network", network["id"], "--subnet-range", "10.98.0.0/24")
    words = ("--image", image["id"], "--flavor", "tiny", "--network", network["id"], "--wait")
    assert client(shell, "server", "create", "one", *words)["status"] == "ACTIVE"


def test_a_stack_is_created(shell: Shell, deployed: dict[str, Any], tmp_path: pathlib.Path) -> None:
    template = tmp_path / "stack.yaml"
    resources = {"word": {"type": "OS::Heat::RandomString"}, "net": {"type": "OS::Neutron::Net"}}
    template.write_text(yaml.safe_dump({"heat_template_version": "2021-04-16", "resources": resources}))
    made = client(shell, "stack", "create", "stack", "-t", str(template), "--wait")
    assert made["stack_status"] == "CREATE_COMPLETE"


def test_a_second_deployment_changes_nothing(shell: Shell, deployed: dict[str, Any]) -> None:
    before = {each["replica"] for each in shell.json("openstack", "status")}
    shell.ok("openstack", "deploy", timeout=600)
    assert {each["replica"] for each in shell.json("openstack", "status")} == before
