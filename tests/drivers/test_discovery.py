# SPDX-License-Identifier: Apache-2.0
"""The registry's driver against a real Consul of our own image: what it is told is found by HTTP and by DNS."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import requests

from stackyard.drivers.discovery.consul import ConsulDiscovery
from stackyard.local import images
from stackyard.model import errors
from stackyard.model.discovery import Registration

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
OWNER, OTHER = "11111111-aaaa", "22222222-bbbb"


@pytest.fixture(scope="module")
def container() -> Iterator[Any]:
    client = docker.from_env()
    image = images.build(client, ["consul"], lambda *_: None)["consul"]
    name = f"sytest-consul-{uuid.uuid4().hex[:6]}"
    made = client.containers.run(image, name=name, ports={"8500/tcp": ("127.0.0.1", None)}, detach=True)
    yield made
    made.remove(force=True, v=True)


@pytest.fixture(scope="module")
def endpoint(container: Any) -> str:
    container.reload()
    found = f"127.0.0.1:{container.ports['8500/tcp'][0]['HostPort']}"
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"http://{found}/v1/status/leader", timeout=2).json():
                return found
        assert time.monotonic() < deadline, container.logs().decode()[-2000:]
        time.sleep(0.2)


def asked(ident: str, owner: str = OWNER, **more: Any) -> Registration:
    return Registration(f"{owner[:8]}:{ident}", "web", "10.9.8.7", 32768, **more)


def healthy(endpoint: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"http://{endpoint}/v1/health/service/web?passing", timeout=5).json()
    return found


def test_told_changed_found_and_taken_out(endpoint: str) -> None:
    registry = ConsulDiscovery()
    first = asked("a", tags=("blue",), meta={"region": "eu"})
    registry.register(endpoint, first)
    registry.register(endpoint, first)
    registry.register(endpoint, asked("b", OTHER))
    assert registry.registered(endpoint, OWNER) == {first.id: first.digest}
    (found,) = [each["Service"] for each in healthy(endpoint) if each["Service"]["ID"] == first.id]
    assert (found["Address"], found["Port"], found["Tags"], found["Meta"]["region"]) == (
        "10.9.8.7",
        32768,
        ["blue"],
        "eu",
    )
    changed = asked("a", tags=("green",))
    registry.register(endpoint, changed)
    assert registry.registered(endpoint, OWNER) == {changed.id: changed.digest}
    assert changed.digest != first.digest
    for _ in range(2):
        registry.deregister(endpoint, changed.id)
    assert registry.registered(endpoint, OWNER) == {}
    assert len(registry.registered(endpoint, OTHER)) == 1


def test_a_check_of_its_own_is_consuls(endpoint: str) -> None:
    registry = ConsulDiscovery()
    registry.register(endpoint, asked("checked", check={"TCP": "127.0.0.1:1", "Interval": "1s"}))
    assert f"{OWNER[:8]}:checked" not in [each["Service"]["ID"] for each in healthy(endpoint)]
    registry.deregister(endpoint, f"{OWNER[:8]}:checked")


def test_found_by_name(container: Any, endpoint: str) -> None:
    ConsulDiscovery().register(endpoint, asked("named"))
    container.reload()
    address = container.attrs["NetworkSettings"]["IPAddress"]
    question = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x07service\x06consul\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.sendto(question, (address, 8600))
        assert socket.inet_aton("10.9.8.7") in asking.recv(512)


def test_what_is_wrong_is_said(endpoint: str) -> None:
    registry = ConsulDiscovery()
    with pytest.raises(errors.GiveUp, match="refuses"):
        registry.register(endpoint, asked("bad", check={"HTTP": "http://x/", "Interval": "often"}))
    with pytest.raises(errors.Unavailable, match="does not answer"):
        registry.registered("127.0.0.1:1", OWNER)
