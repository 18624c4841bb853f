# SPDX-License-Identifier: Apache-2.0
"""A registry that an application runs for itself: who is found there while it is scaled and loses replicas."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

APP = "registered"
COMPOSE = """
x-stackyard: {registry: consul}
services:
  consul: {image: stackyard/consul, ports: ["8500"]}
  web:
    build: .
    command: python3 -m http.server 8000
    ports: ["8000"]
    labels: {SERVICE_NAME: shop, SERVICE_TAGS: "blue,fast", SERVICE_REGION: eu}
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", "discovery", "--nodes", "1")
    folder = tmp_path_factory.mktemp("discovery")
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "requirements.txt").write_text("")
    shell.ok("push", str(folder), "--app", APP, "--cluster", "discovery", timeout=900)
    yield shell
    shell.ok("destroy", APP, "--yes")
    shell.ok("cluster", "delete", "discovery")


def endpoints(shell: Shell, service: str) -> set[str]:
    return {each["endpoint"] for each in shell.json("ps", APP) if each["service"] == service and each["endpoint"]}


def found(shell: Shell) -> dict[str, dict[str, object]]:
    """Return what Consul tells of the service, by address and port."""
    (consul,) = endpoints(shell, "consul")
    with urllib.request.urlopen(f"http://{consul}/v1/health/service/shop?passing", timeout=5) as answer:
        services = [each["Service"] for each in json.load(answer)]
    return {f"{each['Address']}:{each['Port']}": each for each in services}


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 90
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_replicas_are_found_for_as_long_as_they_are_ready(shell: Shell) -> None:
    until(lambda: found(shell).keys() == endpoints(shell, "web"))
    (only,) = found(shell).values()
    assert (only["Tags"], only["Meta"]["region"]) == (["blue", "fast"], "eu")  # type: ignore[index]
    shell.ok("scale", APP, "web=3")
    until(lambda: len(found(shell)) == 3)
    assert found(shell).keys() == endpoints(shell, "web")
    shell.ok("scale", APP, "web=1")
    until(lambda: len(found(shell)) == 1 and found(shell).keys() == endpoints(shell, "web"))


def test_a_registry_that_lost_everything_is_told_again(shell: Shell) -> None:
    (known,) = found(shell).values()
    (consul,) = endpoints(shell, "consul")
    request = urllib.request.Request(f"http://{consul}/v1/agent/service/deregister/{known['ID']}", method="PUT")
    urllib.request.urlopen(request, timeout=5).close()
    until(lambda: found(shell).keys() == endpoints(shell, "web"))
