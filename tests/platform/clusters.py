# SPDX-License-Identifier: Apache-2.0
"""Clusters as their owners and the host see them: the API over HTTP, the local Engine, plain Docker on the nodes.

Used by the tests of clusters on the whole platform; knows nothing of applications.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import docker
import docker.errors
import docker.tls
import keystoneauth1.exceptions
import openstack.config
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from docker.models.containers import Container

from stackyard.drivers.machines.container import CLUSTER, INSTANCE

VERSION = {"OpenStack-API-Version": "container-infra latest"}
SERVICE = {"service_type": "container-infra", "interface": "public"}
NEXT_IMAGE = "sytest-node"
"""A second image of nodes, see `images/sytest-node`."""
INNER = "docker -H unix:///run/docker.sock"

Json = dict[str, Any]


class Away(Exception):
    """The platform does not answer now, as may be while its processes are killed."""


def until(look: Callable[[], Any], seconds: float = 120) -> Any:
    """Return what `look` finds; the platform may be away for a moment."""
    deadline = time.monotonic() + seconds
    last: object = "nothing found"
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except Away as away:
            last = away
        time.sleep(0.2)
    raise AssertionError(f"it did not come to an end in {seconds} s: {last}")


class Api:
    """The container-infra API as a user of one cloud of clouds.yaml calls it."""

    def __init__(self, environment: dict[str, str], cloud: str = "stackyard") -> None:
        config = openstack.config.OpenStackConfig(config_files=[environment["OS_CLIENT_CONFIG_FILE"]])
        self.session = config.get_one(cloud).get_session()

    def answer(self, method: str, path: str, body: object = None) -> requests.Response:
        """Return what the API says; raises Away when it is not there."""
        more = {} if body is None else {"json": body}
        try:
            found: requests.Response = self.session.request(
                path, method, endpoint_filter=SERVICE, headers=VERSION, raise_exc=False, connect_retries=0, **more
            )
        except (keystoneauth1.exceptions.ConnectionError, keystoneauth1.exceptions.http.HttpError) as error:
            raise Away(str(error)) from error
        if found.status_code == 503:
            raise Away(found.text)
        return found

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Return the decoded answer of a request that succeeds."""
        found = self.answer(method, path, body)
        assert found.status_code < 300, f"{method} {path}: {found.status_code} {found.text}"
        return found.json() if found.text else None

    def template(self, name: str, image: str = "node", **attributes: object) -> str:
        """Return the id of a template of this name, made if it is not there."""
        known = {each["name"]: each["uuid"] for each in self.call("GET", "/clustertemplates")["clustertemplates"]}
        wanted = {"name": name, "coe": "swarm", "image_id": image, "external_network_id": "public", **attributes}
        return str(known.get(name) or self.call("POST", "/clustertemplates", wanted)["uuid"])

    def create(self, name: str, nodes: int = 1, managers: int = 1, **more: object) -> str:
        """Ask for a cluster; return its id."""
        wanted = {"name": name, "node_count": nodes, "master_count": managers, "master_lb_enabled": managers > 1}
        template = more.pop("cluster_template_id", None) or self.template("sytest")
        return str(self.call("POST", "/clusters", {**wanted, "cluster_template_id": template, **more})["uuid"])

    def show(self, cluster: str) -> Json | None:
        """Return the cluster, None when there is none."""
        found = self.answer("GET", f"/clusters/{cluster}")
        return None if found.status_code == 404 else dict(found.json())

    def settled(self, cluster: str) -> Json | None:
        """Return the cluster when nothing is in progress; the test fails when that failed."""
        found = self.show(cluster)
        assert found, f"cluster {cluster} is gone"
        assert "FAILED" not in found["status"], found
        return found if found["status"].endswith("_COMPLETE") else None

    def healthy(self, cluster: str) -> Json | None:
        """Return the cluster when it is settled and all of it is well."""
        found = self.settled(cluster)
        return found if found and found["health_status"] == "HEALTHY" else None

    def made(self, name: str, nodes: int = 1, managers: int = 1, **more: object) -> str:
        """Make a cluster and wait for it; return its id."""
        cluster = self.create(name, nodes, managers, **more)
        until(lambda: self.settled(cluster))
        return cluster

    def resize(self, cluster: str, nodes: int, **more: object) -> None:
        """Ask for another number of workers."""
        self.call("POST", f"/clusters/{cluster}/actions/resize", {"node_count": nodes, **more})

    def upgrade(self, cluster: str, template: str, at_once: int = 1) -> None:
        """Ask for the nodes of another template."""
        body = {"cluster_template": template, "max_batch_size": at_once, "nodegroup": "default-worker"}
        self.call("POST", f"/clusters/{cluster}/actions/upgrade", body)

    def remove(self, *clusters: str, seconds: float = 120) -> None:
        """Delete clusters and wait until they are gone."""
        for cluster in clusters:
            until(lambda cluster=cluster: self.answer("DELETE", f"/clusters/{cluster}").status_code in (204, 404))
        until(lambda: not any(self.show(cluster) for cluster in clusters), seconds)

    def credentials(self, cluster: str, folder: pathlib.Path) -> Credentials:
        """Have a new client certificate signed for the cluster; its files go into `folder`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sytest")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        pem = csr.public_bytes(serialization.Encoding.PEM).decode()
        signed = self.call("POST", "/certificates", {"cluster_uuid": cluster, "csr": pem})
        folder.mkdir(parents=True, exist_ok=True)
        made = Credentials(folder)
        (folder / "ca.pem").write_text(self.call("GET", f"/certificates/{cluster}")["pem"])
        (folder / "cert.pem").write_text(signed["pem"])
        private = serialization.PrivateFormat.PKCS8
        made.key.touch(mode=0o600)
        made.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
        return made


@dataclasses.dataclass(frozen=True)
class Credentials:
    """The files of a client certificate, as plain docker wants them."""

    folder: pathlib.Path

    @property
    def key(self) -> pathlib.Path:
        return self.folder / "key.pem"

    def docker(self, address: str, timeout: int = 20) -> docker.DockerClient:
        """Return a Docker client of the node at this address."""
        tls = docker.tls.TLSConfig(
            client_cert=(str(self.folder / "cert.pem"), str(self.key)), ca_cert=str(self.folder / "ca.pem"), verify=True
        )
        client = docker.DockerClient(f"https://{address}:2376", tls=tls, version="1.41", timeout=timeout)
        client.api.trust_env = False
        return client


@dataclasses.dataclass(frozen=True)
class Host:
    """The machine under the platform: what its Engine has of the platform and of each cluster."""

    instance: str
    engine: docker.DockerClient = dataclasses.field(default_factory=docker.from_env)

    def nodes(self, cluster: str, role: str | None = None) -> list[Container]:
        """Return the containers of a cluster's nodes, by name; those that end meanwhile are left out."""
        labels = [f"{CLUSTER}={cluster}", *([f"stackyard.role={role}"] if role else [])]
        found = self.engine.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return sorted(found, key=lambda node: str(node.name))

    def belongings(self, cluster: str | None = None) -> list[str]:
        """Return names of all containers, networks and volumes of a cluster (None: of the platform)."""
        chosen = {"label": f"{CLUSTER}={cluster}" if cluster else f"{INSTANCE}={self.instance}"}
        containers = self.engine.containers.list(all=True, filters=chosen, ignore_removed=True)
        networks = self.engine.networks.list(filters=chosen)
        volumes = self.engine.volumes.list(filters=chosen)
        return sorted(str(each.name) for each in (*containers, *networks, *volumes))

    def check_whole(self, cluster: str, managers: int, workers: int) -> None:
        """Assert that there is exactly what a cluster of this size needs, all of it in use and known to the swarm."""
        masters = self.nodes(cluster, "master")
        nodes = self.nodes(cluster)
        assert (len(masters), len(nodes)) == (managers, managers + workers), [str(node.name) for node in nodes]
        assert [node.status for node in nodes] == ["running"] * len(nodes)
        assert len(self.engine.networks.list(filters={"label": f"{CLUSTER}={cluster}"})) == 1
        volumes = {str(volume.name) for volume in self.engine.volumes.list(filters={"label": f"{CLUSTER}={cluster}"})}
        mounted = {mount["Name"] for node in nodes for mount in node.attrs["Mounts"] if mount["Type"] == "volume"}
        assert volumes == mounted, "a volume is left over, or was not labelled"
        assert sorted(members(masters[0])) == [(str(node.name), "Ready", "Active") for node in nodes]

    def is_whole(self, cluster: str, managers: int, workers: int) -> bool:
        """Tell the same, of a cluster that may be about to become so."""
        try:
            self.check_whole(cluster, managers, workers)
        except (AssertionError, docker.errors.DockerException):
            return False
        return True


def inside(node: Container, script: str, timeout: float = 60) -> tuple[int, str]:
    """Run a script (bash) in a node, as its root; return exit code and output."""
    code, output = node.exec_run(["timeout", str(timeout), "bash", "-c", script])
    return int(code), output.decode(errors="replace")


def members(manager: Container) -> list[tuple[str, str, str]]:
    """Return (name, state, availability) of all members as the manager knows them."""
    template = "{{.Hostname}},{{.Status}},{{.Availability}}"
    code, output = inside(manager, f"{INNER} node ls --format '{template}'")
    assert code == 0, output
    # A member that is just about to join has no name yet.
    found = (line.split(",") for line in output.splitlines())
    return [(name, state, availability) for name, state, availability in found]


def member_ids(manager: Container) -> dict[str, str]:
    """Return the members' ids by node name."""
    code, output = inside(manager, INNER + " node ls --format '{{.Hostname}} {{.ID}}'")
    assert code == 0, output
    return dict(line.split() for line in output.splitlines())  # type: ignore[misc]


def address(node: Container) -> str:
    """Return the node's address on its cluster's network."""
    node.reload()
    (network,) = node.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def reaches(node: Container, where: str, port: int, seconds: float = 2) -> bool:
    """Tell whether a TCP connection from inside the node comes about."""
    return inside(node, f"echo > /dev/tcp/{where}/{port}", seconds)[0] == 0


def load(host: Host, client: docker.DockerClient) -> str:
    """Bring the tests' small image to a node; return its id there."""
    image = host.engine.images.get("stackyard/sytest-busybox:latest")
    (loaded,) = client.images.load(b"".join(image.save()))
    return str(loaded.id)


def generation(node: Container) -> str:
    """Tell which of the two images of nodes this one is made of: first or second."""
    return inside(node, "cat /etc/stackyard-generation 2>/dev/null || echo first")[1].strip()


def destroy(*nodes: Container) -> None:
    """Remove nodes and all that they stored."""
    for node in nodes:
        node.remove(force=True)
    for node in nodes:
        for mount in node.attrs["Mounts"]:
            with contextlib.suppress(docker.errors.NotFound):
                node.client.volumes.get(mount["Name"]).remove(force=True)
