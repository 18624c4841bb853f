# SPDX-License-Identifier: Apache-2.0
"""Nodes replaced one by one, for another image and for other certificates, under a service that somebody uses."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator

import pytest
import requests
from docker.types import EndpointSpec, ServiceMode

from tests.platform.clusters import (
    NEXT_IMAGE,
    Api,
    Credentials,
    Host,
    address,
    generation,
    load,
    member_ids,
    until,
)
from tests.platform.watchers import Watcher

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

PORT = 8000
SERVE = "test -f /www/index.html || hostname > /www/index.html; exec httpd -f -p 8000 -h /www"
"""A page written once for each volume: who finds it as it was has found the volume."""
NODES = 3


@pytest.fixture(scope="module")
def cluster(api: Api) -> Iterator[str]:
    made = api.made("roll", nodes=NODES - 1)
    yield made
    api.remove(made)


@pytest.fixture(scope="module")
def service(api: Api, host: Host, cluster: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run a replica on each node, with a volume and a port of that node; gives the pages by address."""
    credentials = api.credentials(cluster, tmp_path_factory.mktemp("service"))
    addresses = [address(node) for node in host.nodes(cluster)]
    images = {load(host, credentials.docker(each)) for each in addresses}
    manager = credentials.docker(address(host.nodes(cluster, "master")[0]))
    manager.services.create(
        images.pop(),
        command=["/bin/sh", "-c", SERVE],
        name="pages",
        mode=ServiceMode("replicated", NODES),
        mounts=["pages:/www:rw"],
        stop_grace_period=10**9,
        endpoint_spec=EndpointSpec("dnsrr", [{"TargetPort": PORT, "PublishedPort": PORT, "PublishMode": "host"}]),
    )
    until(lambda: all(page(each) for each in addresses))
    return {each: page(each) for each in addresses}


def page(where: str) -> str:
    """Return what the node's replica serves, nothing when it does not."""
    try:
        return requests.get(f"http://{where}:{PORT}/", timeout=2).text
    except requests.RequestException:
        return ""


class Client(Watcher):
    """Asks for pages without a pause, of another node when one is silent; `gaps` tells when none answered."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__(pause=0.05)
        self.addresses = list(addresses)
        self.asked = 0
        self.gaps: list[float] = []

    def look(self) -> None:
        self.asked += 1
        if not any(self._answers(each) for each in list(self.addresses)):
            self.gaps.append(time.monotonic())

    def _answers(self, where: str) -> bool:
        if page(where):
            return True
        self.addresses.remove(where)
        self.addresses.append(where)
        return False


class Visitor(Watcher):
    """Goes on asking the nodes' engines with the certificate that it has; `refusals` are those of certificates."""

    def __init__(self, credentials: Credentials, addresses: list[str]) -> None:
        super().__init__(pause=0.1)
        self.credentials, self.addresses = credentials, addresses
        self.answers = 0
        self.refusals: list[str] = []

    def look(self) -> None:
        for each in self.addresses:
            self._ask(each)

    def _ask(self, where: str) -> None:
        try:
            client = self.credentials.docker(where, timeout=2)
            client.ping()
            client.close()
            self.answers += 1
        except requests.exceptions.SSLError as error:
            if "EOF occurred" not in str(error):  # an engine that ends while it is greeted refuses nobody
                self.refusals.append(f"{where}: {error}")
        except requests.RequestException:
            return  # it is being replaced


def check_after(host: Host, api: Api, cluster: str, pages: dict[str, str], ids: dict[str, str]) -> None:
    """Assert that nodes, members and volumes are those of before, and that all replicas serve again."""
    host.check_whole(cluster, managers=1, workers=NODES - 1)
    assert member_ids(host.nodes(cluster, "master")[0]) == ids
    until(lambda: all(page(where) for where in pages))
    assert {where: page(where) for where in pages} == pages, "a volume was lost"
    assert api.healthy(cluster)


def test_an_upgrade_leaves_the_service_up(api: Api, host: Host, cluster: str, service: dict[str, str]) -> None:
    ids = member_ids(host.nodes(cluster, "master")[0])
    assert {generation(node) for node in host.nodes(cluster)} == {"first"}
    template = api.template("sytest-next", NEXT_IMAGE)
    with Client(list(service)) as client:
        api.upgrade(cluster, template)
        most = most_at_once(api, host, cluster)
    assert client.asked > 50
    assert client.gaps == [], "for a moment no replica answered"
    assert most == 1, "more nodes than asked for were away at once"
    assert {generation(node) for node in host.nodes(cluster)} == {"second"}
    assert (api.show(cluster) or {})["cluster_template_id"] == template
    check_after(host, api, cluster, service, ids)


def most_at_once(api: Api, host: Host, cluster: str) -> int:
    """Wait for the end of the roll; return the largest number of nodes that were away at one time."""
    most = 0

    def look() -> bool:
        nonlocal most
        most = max(most, NODES - sum(node.status == "running" for node in host.nodes(cluster)))
        return bool(api.settled(cluster))

    until(look, 240)
    return most


def test_a_new_authority_locks_nobody_out(
    api: Api, host: Host, cluster: str, service: dict[str, str], tmp_path: pathlib.Path
) -> None:
    ids = member_ids(host.nodes(cluster, "master")[0])
    old = api.credentials(cluster, tmp_path / "old")
    with Client(list(service)) as client, Visitor(old, list(service)) as visitor:
        api.call("PATCH", f"/certificates/{cluster}")
        until(lambda: api.settled(cluster), 240)
    assert client.gaps == []
    assert visitor.answers > 20
    assert visitor.refusals == []
    new = api.credentials(cluster, tmp_path / "new")
    assert (new.folder / "ca.pem").read_text() != (old.folder / "ca.pem").read_text()
    for each in (old, new):
        assert all(each.docker(where).ping() for where in service)
    check_after(host, api, cluster, service, ids)


def test_revoked_certificates_are_refused_and_new_ones_work(
    api: Api, host: Host, cluster: str, service: dict[str, str], tmp_path: pathlib.Path
) -> None:
    ids = member_ids(host.nodes(cluster, "master")[0])
    old = api.credentials(cluster, tmp_path / "old")
    with Client(list(service)) as client:
        api.call("PATCH", f"/credentials/{cluster}")
        until(lambda: api.settled(cluster), 240)
    assert client.gaps == []
    new = api.credentials(cluster, tmp_path / "new")
    (old.folder / "ca.pem").write_text((new.folder / "ca.pem").read_text())  # only its own certificate is old
    for where in service:
        assert new.docker(where).ping()
        with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
            old.docker(where).ping()
    check_after(host, api, cluster, service, ids)
