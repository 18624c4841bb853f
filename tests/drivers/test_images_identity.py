# SPDX-License-Identifier: Apache-2.0
"""The image `identity` and its schema command on a real MariaDB: made once, changed in two halves, two passwords."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Iterator

import docker
import pytest
from cryptography.fernet import Fernet
from docker.models.containers import Container

from stackyard.local import images

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]

NAME = "sytest-identity"
ROOT = "root-word-1"
CATALOG = """
region: RegionOne
identity: {url: "http://api.example.org/identity", internal: "http://keystone:5000"}
services: []
"""
LOGIN = "import pymysql, sys; pymysql.connect(host='db', user='keystone', password=sys.argv[1]).close()"


@dataclasses.dataclass(frozen=True)
class Place:
    """A network with a database, and containers of the image that use it; their files are in `folder`."""

    client: docker.DockerClient
    image: str
    folder: pathlib.Path

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command in a new container; return exit code and output."""
        binds = {str(self.folder / name): {"bind": target, "mode": "ro"} for name, target in TARGETS.items()}
        secrets = {"ADMIN_PASSWORD_FILE": "/run/secrets/admin", "DATABASE_PASSWORD_FILE": "/run/secrets/root"}
        container = self.client.containers.run(
            self.image, list(command), network=NAME, volumes=binds, environment=secrets, detach=True
        )
        try:
            return int(container.wait()["StatusCode"]), container.logs().decode()
        finally:
            container.remove(force=True, v=True)

    def password(self, word: str) -> None:
        """Have Keystone's file name this password."""
        url = f"mysql+pymysql://keystone:{word}@db/keystone"
        (self.folder / "keystone.conf").write_text(f"[DEFAULT]\nuse_stderr = true\n[database]\nconnection = {url}\n")

    def logs_in(self, word: str) -> bool:
        """Tell whether Keystone's account has this password."""
        return self.run("python3", "-c", LOGIN, word)[0] == 0


TARGETS = {
    "keystone.conf": "/etc/keystone/keystone.conf",
    "catalog.yaml": "/etc/openstack/catalog.yaml",
    "admin": "/run/secrets/admin",
    "root": "/run/secrets/root",
    "keys": "/etc/keystone/fernet-keys",
}


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Iterator[Place]:
    client = docker.from_env(timeout=600)
    made = images.build(client, ["identity", "mariadb"], lambda name, line: None)
    texts = {"admin": "admin-word-1", "root": ROOT, "catalog.yaml": CATALOG}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "keys").mkdir()
    for number in ("0", "1"):
        (tmp_path / "keys" / number).write_text(Fernet.generate_key().decode())
    clear(client)
    network = client.networks.create(NAME)
    client.containers.run(
        made["mariadb"], name=NAME, hostname="db", environment={"MARIADB_ROOT_PASSWORD": ROOT}, detach=True
    )
    network.connect(NAME, aliases=["db"])
    yield Place(client, made["identity"], tmp_path)
    clear(client)
    client.close()


def clear(client: docker.DockerClient) -> None:
    """Remove what a run made, one that was killed too."""
    for container in client.containers.list(all=True, filters={"name": f"^/{NAME}$"}):
        container.remove(force=True, v=True)
    for network in client.networks.list(names=[NAME]):
        network.remove()


def database(place: Place) -> Container:
    return place.client.containers.get(NAME)


def test_a_schema_is_made_once_and_changed_in_two_halves_with_two_passwords_between(place: Place) -> None:
    place.password("first-word")
    code, said = place.run("openstack-schema", "expand", "keystone")
    assert (code, "keystone-manage" in said) == (0, False), "what is new is made by init alone"
    code, said = place.run("openstack-schema", "init", "keystone")
    assert code == 0, said
    assert ("keystone-manage db_sync" in said, "keystone-manage bootstrap" in said) == (False, True)
    code, said = place.run("keystone-manage", "db_sync", "--check")
    assert code == 0, f"what was recorded lacks something: {said}"

    began = time.monotonic()
    code, said = place.run("openstack-schema", "init", "keystone")
    assert (code, "keystone-manage" in said) == (0, False), said
    code, said = place.run("openstack-schema", "expand", "keystone")
    assert (code, "keystone-manage" in said) == (0, False), f"{said}; it took {time.monotonic() - began:.1f} s"

    place.password("second-word")
    assert place.run("openstack-schema", "expand", "keystone")[0] == 0
    assert (place.logs_in("first-word"), place.logs_in("second-word")) == (True, True)
    assert place.run("openstack-schema", "contract", "keystone")[0] == 0
    assert (place.logs_in("first-word"), place.logs_in("second-word")) == (False, True)

    (place.folder / "admin").write_text("admin-word-2")
    assert "keystone-manage bootstrap" in place.run("openstack-schema", "init", "keystone")[1]

    noted = "UPDATE stackyard.schemas SET version = '1.0' WHERE phase IN ('expand', 'contract')"
    assert database(place).exec_run(["mariadb", "-e", noted]).exit_code == 0
    code, said = place.run("openstack-schema", "expand", "keystone")
    assert (code, "keystone-manage db_sync" in said) == (0, True), said
    code, said = place.run("openstack-schema", "contract", "keystone")
    assert (code, "keystone-manage db_sync" in said) == (0, True), said

    noted = "UPDATE stackyard.schemas SET version = '9999.0' WHERE phase = 'contract'"
    assert database(place).exec_run(["mariadb", "-e", noted]).exit_code == 0
    code, said = place.run("openstack-schema", "expand", "keystone")
    assert (code, "restore a backup" in said) == (1, True), said
