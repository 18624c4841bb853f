# SPDX-License-Identifier: Apache-2.0
"""The package `identity` on the platform under test: deployed, asked by the unmodified client, hurt from below.

Used by the tests of it; knows the host under the platform.
"""

from __future__ import annotations

import dataclasses
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.platform.clusters import Host
from tests.platform.shell import Shell

APP = CLOUD = CLUSTER = "openstack"
OPERATOR = "stackyard-admin"
MEMBERS = ("database-1", "database-2", "database-3")
DEPLOY = ("openstack", "deploy", "--package", "identity")
DEPLOY_SECONDS = 1500.0
FIND = "docker ps -q -f label=stackyard.service={} -f status=running"
ASK_DNS = """
import dns.resolver, socket
asked = dns.resolver.Resolver(configure=False)
asked.nameservers, asked.port = [socket.gethostbyname("consul")], 8600
print(*sorted(answer.port for answer in asked.resolve("keystone.service.consul", "SRV")))
"""


def until(look: Callable[[], Any], seconds: float = 180) -> Any:
    """Return what `look` finds; a command may be refused meanwhile."""
    deadline, said = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except AssertionError as error:
            said = str(error)
        time.sleep(0.5)
    raise AssertionError(f"it did not come to an end in {seconds} s; {said}")


@dataclasses.dataclass(frozen=True)
class Small:
    """Keystone, its database and what stands around it; `url` is where the API is."""

    shell: Shell
    host: Host
    url: str

    def token(self) -> str | None:
        """Return a new token, None where there is none to be had."""
        done = self.shell.run("openstack", "token", "issue", "-f", "json", cloud=CLOUD)
        return str(json.loads(done.stdout)["id"]) if done.returncode == 0 else None

    def group(self) -> dict[str, Any]:
        """Return the state of the database."""
        found: dict[str, Any] = self.shell.json("group", "show", APP)[0]
        return found

    def synced(self) -> set[str]:
        """Return the members of the database that are."""
        return {each["name"] for each in self.group()["members"] if each["state"] == "synced"}

    def on_nodes(self, command: str) -> str:
        """Run a command on each node; return what they print."""
        cluster = str(self.shell.json("cluster", "show", CLUSTER)["uuid"])
        nodes = self.host.nodes(cluster)
        return "".join(node.exec_run(["sh", "-c", command]).output.decode() for node in nodes)

    def inside(self, service: str, *words: str) -> str:
        """Run a command in one container of a service."""
        asked = " ".join(f"'{word}'" for word in words)
        return self.on_nodes(f'c=$({FIND.format(service)} | head -1); [ -z "$c" ] || docker exec $c {asked}')

    def cluster_ids(self) -> set[str]:
        """Return the Galera clusters that the members are of."""
        asked = (
            "mariadb",
            "-NBe",
            "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS"
            ' WHERE VARIABLE_NAME = "wsrep_cluster_state_uuid"',
        )
        return {self.inside(member, *asked).strip() for member in MEMBERS}

    def replicas(self, service: str) -> list[dict[str, Any]]:
        """Return the replicas of a service that run."""
        found = self.shell.json("openstack", "status")
        return [each for each in found if each["service"] == service and each["state"] == "running"]

    def registered(self, service: str) -> set[str]:
        """Return the addresses that Consul tells for a service that passes."""
        (consul,) = self.replicas("consul")
        with urllib.request.urlopen(
            f"http://{consul['endpoint']}/v1/health/service/{service}?passing", timeout=5
        ) as answer:
            return {f"{each['Service']['Address']}:{each['Service']['Port']}" for each in json.load(answer)}

    def named(self, service: str) -> set[int]:
        """Return the ports that Consul's DNS tells for Keystone, asked from inside a container of a service."""
        return {int(port) for port in self.inside(service, "python3", "-c", ASK_DNS.replace("'", '"')).split()}

    def endpoints(self, service: str) -> set[str]:
        """Return where the platform says that a service's replicas are."""
        return {str(each["endpoint"]) for each in self.replicas(service)}

    @property
    def origin(self) -> str:
        """Return the API's scheme, host and port."""
        parts = urllib.parse.urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"
