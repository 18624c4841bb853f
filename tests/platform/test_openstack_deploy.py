# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own services deployed by one command, and used with the unmodified `openstack` client."""

from __future__ import annotations

import json
import pathlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from tests.platform.browser import PAGE_SECONDS, browser
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
    wanted = {"identity", "placement", "image", "network", "compute", "orchestration", "cloudformation"}
    assert wanted <= catalog.keys()
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


@pytest.fixture(scope="module")
def server(shell: Shell, deployed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A server on the fake hypervisor, with what it needs."""
    disk = tmp_path_factory.mktemp("server") / "disk"
    disk.write_bytes(b"boot")
    image = client(shell, "image", "create", "boot", "--disk-format", "raw", "--file", str(disk))
    client(shell, "flavor", "create", "tiny", "--ram", "64", "--disk", "0", "--vcpus", "1")
    network = client(shell, "network", "create", "servers")
    client(shell, "subnet", "create", "servers", "--network", network["id"], "--subnet-range", "10.98.0.0/24")
    words = ("--image", image["id"], "--flavor", "tiny", "--network", network["id"], "--wait")
    return {**client(shell, "server", "create", "shown-in-the-dashboard", *words), "image_id": image["id"]}


def test_a_server_becomes_active_on_the_fake_hypervisor(shell: Shell, server: dict[str, Any]) -> None:
    assert server["status"] == "ACTIVE"
    listed = {each["ID"]: each["Status"] for each in client(shell, "server", "list")}
    assert listed[server["id"]] == "ACTIVE"


def test_a_stack_is_created_with_what_is_in_it(shell: Shell, server: dict[str, Any], tmp_path: pathlib.Path) -> None:
    template = tmp_path / "stack.yaml"
    networks = [{"network": {"get_resource": "net"}}]
    resources = {
        "word": {"type": "OS::Heat::RandomString", "properties": {"length": 12}},
        "net": {"type": "OS::Neutron::Net"},
        "subnet": {
            "type": "OS::Neutron::Subnet",
            "properties": {"network": {"get_resource": "net"}, "cidr": "10.97.0.0/24"},
        },
        "server": {
            "type": "OS::Nova::Server",
            "depends_on": "subnet",
            "properties": {"image": server["image_id"], "flavor": "tiny", "networks": networks},
        },
    }
    outputs = {"word": {"value": {"get_attr": ["word", "value"]}}}
    asked = {"heat_template_version": "2021-04-16", "resources": resources, "outputs": outputs}
    template.write_text(yaml.safe_dump(asked))
    # Its events come before what it prints.
    created = shell.run("openstack", "stack", "create", "stack", "-t", str(template), "--wait", cloud=CLOUD)
    assert created.returncode == 0, f"{created.stdout}\n{created.stderr}"
    assert client(shell, "stack", "show", "stack")["stack_status"] == "CREATE_COMPLETE"
    assert len(client(shell, "stack", "output", "show", "stack", "word")["output_value"]) == 12
    found = {
        each["resource_name"]: each["resource_status"] for each in client(shell, "stack", "resource", "list", "stack")
    }
    assert found == dict.fromkeys(resources, "CREATE_COMPLETE")
    assert shell.run("openstack", "stack", "delete", "--yes", "--wait", "stack", cloud=CLOUD).returncode == 0


def test_stackyard_serves_the_users_of_the_cloud(
    shell: Shell, platform: dict[str, str], deployed: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    """One who is known to the deployed Keystone alone makes a cluster and pushes an application to it."""
    types = {each["Type"] for each in client(shell, "catalog", "list")}
    assert {"container-infra", "application_deployment"} <= types
    project = client(shell, "project", "create", "tenants")
    client(shell, "user", "create", "ann", "--password", "only-known-there", "--project", project["id"])
    role = ("role", "add", "--user", "ann", "--project", project["id"], "member")
    assert shell.run("openstack", *role, cloud=CLOUD).returncode == 0
    clouds = pathlib.Path(platform["OS_CLIENT_CONFIG_FILE"])
    kept = yaml.safe_load(clouds.read_text())
    login = {"username": "ann", "password": "only-known-there", "project_name": "tenants"}
    mine = {**kept["clouds"][CLOUD], "auth": {**kept["clouds"][CLOUD]["auth"], **login}}
    own = tmp_path / "clouds.yaml"
    own.write_text(yaml.safe_dump({"clouds": {"ann": mine}}))
    ann = Shell({**platform, "OS_CLIENT_CONFIG_FILE": str(own), "OS_CLOUD": "ann"})
    assert ann.json("apps") == [], "what the deployed cloud runs on is not hers to see"
    ann.ok("cluster", "create", "anns", timeout=300)
    listed = json.loads(ann.run("openstack", "coe", "cluster", "list", "-f", "json", cloud="ann").stdout)
    assert [each["name"] for each in listed] == ["anns"]
    source = tmp_path / "site"
    source.mkdir()
    (source / "index.html").write_text("served to ann")
    url = ann.json("push", str(source), "--app", "site", timeout=300)["url"]
    assert url.startswith("http://site.tenants.")
    parts = urllib.parse.urlsplit(url)
    asked = urllib.request.Request(f"http://127.0.0.1:{parts.port}/", headers={"Host": parts.netloc})
    assert urllib.request.urlopen(asked, timeout=30).read() == b"served to ann"
    ann.ok("destroy", "site", "--yes")
    ann.ok("cluster", "delete", "anns", "--yes", timeout=300)


def test_cloudformations_api_answers(deployed: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{deployed['url']}/cloudformation/v1/?Action=ListStacks")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert b"<Code>IncompleteSignature</Code>" in caught.value.read()


def test_the_dashboard_lists_the_server_in_a_real_browser(
    platform: dict[str, str], deployed: dict[str, Any], server: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    clouds = yaml.safe_load(pathlib.Path(platform["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]
    with browser(tmp_path) as page:
        wait = WebDriverWait(page, PAGE_SECONDS)
        page.get(f"{deployed['url']}/dashboard/")
        assert page.current_url.startswith(f"{deployed['url']}/dashboard/auth/login/")
        wait.until(expected.element_to_be_clickable((By.ID, "id_username"))).send_keys("admin")
        # A page without its style sheets would show the button with the browser's own.
        colour = page.find_element(By.ID, "loginBtn").value_of_css_property("background-color")
        page.find_element(By.ID, "id_password").send_keys(clouds[CLOUD]["auth"]["password"])
        page.find_element(By.ID, "loginBtn").click()
        wait.until(lambda page: "/auth/login" not in page.current_url)
        page.get(f"{deployed['url']}/dashboard/project/instances/")
        row = wait.until(
            expected.presence_of_element_located((By.CSS_SELECTOR, f"tr[data-object-id='{server['id']}']"))
        )
        assert server["name"] in row.text
        assert "Active" in row.text
    assert colour not in ("rgba(239, 239, 239, 1)", "rgba(0, 0, 0, 0)")


def test_every_service_of_openstack_runs_the_same_image(shell: Shell, deployed: dict[str, Any]) -> None:
    found = shell.json("openstack", "status")
    own = {each["image"] for each in found if each["service"].startswith(("keystone", "nova", "heat", "horizon"))}
    assert len(own) == 1
    (digest,) = own
    current = {each["name"]: each for each in shell.json("images", "list") if each["current"]}
    assert current["openstack"]["digest"] == digest
    assert current["openstack"]["versions"]["keystone"].startswith("27.")
    assert "identical" in shell.ok("images", "compare", "openstack", digest)
    assert shell.run("stackyard", "images", "compare", "openstack", "mariadb").returncode == 1


def test_a_second_deployment_changes_nothing(shell: Shell, deployed: dict[str, Any]) -> None:
    before = {each["replica"] for each in shell.json("openstack", "status")}
    shell.ok("openstack", "deploy", timeout=600)
    assert {each["replica"] for each in shell.json("openstack", "status")} == before
