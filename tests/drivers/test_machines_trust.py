# SPDX-License-Identifier: Apache-2.0
"""Rotation of a cluster's CA on a real node: what the platform, the docker client and the revoked can still do."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
from collections.abc import Iterator

import nodes_rig as rig
import pytest

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model.clusters import Cluster
from stackyard.model.ports import NodeAccess, TLSPair

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def world() -> Iterator[rig.World]:
    with rig.world("docker") as made:
        made.machines.ensure_network(made.cluster)
        yield made


class Rotation:
    """A cluster with two CAs and its one node, which is made anew with each trust and keeps its data."""

    def __init__(self, world: rig.World, folder: pathlib.Path) -> None:
        ensure_key(folder / "key")
        self.world, self.folder = world, folder
        self.authorities = Authorities(FernetSecrets(folder / "key"), X509())
        made = Cluster(project_id="p", name="c", user_id="u", template_id="t", coe="swarm-mode")
        for _ in range(2):
            made = dataclasses.replace(made, secrets=self.authorities.make_next(made))
        self.cluster = made

    def node(self, trust: str) -> NodeAccess:
        """Make the node anew with a trust; return how the platform reaches it, when it does."""
        world, spec = self.world, dataclasses.replace(self.world.spec(0, "master"), trust=trust)
        world.machines.delete(world.cluster, spec.name, keep_data=True)
        issue = self.authorities.issue
        machine = world.machines.create(spec, lambda address: issue(self.cluster, spec.name, address, trust))
        pair = self.authorities.client_for(self.cluster, machine.trust)
        made = NodeAccess(machine.name, machine.address, machine.role, pair)
        rig.until(lambda: world.engine.look(made))
        return made

    def user(self, number: int) -> TLSPair:
        """Return what a user had who knows CA `number` only."""
        return X509().client(self.authorities.authority(self.cluster, number), "mary", 1)

    def docker(self, node: NodeAccess, pair: TLSPair) -> str:
        """Run the plain docker client with a pair; return what it said."""
        for name, text in (("ca", pair.ca), ("cert", pair.cert), ("key", pair.key)):
            (self.folder / f"{name}.pem").write_text(text)
        environment = {
            "DOCKER_HOST": f"tcp://{node.address}:2376",
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(self.folder),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
        }
        command = ["docker", "version", "--format", "server {{.Server.Version}}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
        return done.stdout + done.stderr


def test_clients_survive_rotation_and_not_revocation(world: rig.World, tmp_path: pathlib.Path) -> None:
    rotation = Rotation(world, tmp_path)
    old, new = rotation.user(1), rotation.user(2)

    node = rotation.node("1..1")
    assert rotation.docker(node, old).startswith("server ")
    assert "certificate" in rotation.docker(node, new)

    node = rotation.node("1..2")
    for pair in (old, new, dataclasses.replace(old, ca=new.ca), dataclasses.replace(new, ca=old.ca)):
        assert rotation.docker(node, pair).startswith("server ")

    node = rotation.node("2..2")
    assert "certificate" in rotation.docker(node, old)
    assert "certificate" in rotation.docker(node, dataclasses.replace(old, ca=new.ca))
    assert rotation.docker(node, new).startswith("server ")
