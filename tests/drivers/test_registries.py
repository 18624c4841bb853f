# SPDX-License-Identifier: Apache-2.0
"""The registry driver against the real registry and a real Engine: pushes, pulls, refusals, deletion, names."""

from __future__ import annotations

import contextlib
import io
import pathlib
import socket
import tarfile
import tempfile
import uuid
from collections.abc import Iterator

import docker
import docker.errors
import pytest
import requests

from stackyard.drivers.machines.purge import purge
from stackyard.drivers.registries import distribution
from stackyard.drivers.registries.distribution import DistributionRegistry, Signer
from stackyard.local import addresses, containers, images, registry
from stackyard.local.state import State
from stackyard.model import errors

pytestmark = pytest.mark.engine
CLUSTER = "12345678-0000-4000-8000-000000000000"


class Rig:
    """A registry of its own: state folder, container and port."""

    def __init__(self, client: docker.DockerClient, folder: str) -> None:
        self.client, self.instance = client, f"sytest-registry-{uuid.uuid4().hex[:6]}"
        self.state = State(folder)
        self.state.make()
        registry.prepare(self.state, self.instance)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.driver = DistributionRegistry(client, self.instance, self.state.folder, self.port)
        built = images.build(client, ["registry", "python"], lambda *_: None)
        self.python = built["python"]
        self.wanted = containers.registry_container(self.state, built["registry"], self.port)
        self.image = self._small_image()
        self.start()

    def start(self) -> None:
        containers.ensure(self.client, self.instance, self.wanted)
        url, verify = f"https://127.0.0.1:{self.port}/v2/", str(self.state / "secrets/registry-ca.crt")
        assert addresses.wait(lambda: addresses.answers(url, verify), 20, lambda: None)

    def _small_image(self) -> str:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            content = self.instance.encode()
            entry = tarfile.TarInfo("name")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        self.client.api.import_image_from_data(data.getvalue(), repository=self.instance, tag="small")
        return f"{self.instance}:small"

    def remote(self, repository: str) -> str:
        return f"127.0.0.1:{self.port}/{repository}"

    def push(self, repository: str, auth: object, tag: str = "1") -> str:
        """Return the error of a push, empty when it worked."""
        self.client.api.tag(self.image, self.remote(repository), tag)
        lines = self.client.api.push(self.remote(repository), tag, stream=True, decode=True, auth_config=auth)
        return "".join(line.get("error", "") for line in lines)

    def close(self) -> None:
        purge(self.client, self.instance)
        registry.forget(self.client, self.port)
        self.client.api.remove_image(self.image, force=True)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    client = docker.from_env()
    with tempfile.TemporaryDirectory(prefix="sytest-registry-") as folder:
        made = Rig(client, folder)
        try:
            yield made
        finally:
            made.close()


def test_published_once_and_known_by_digest(rig: Rig) -> None:
    assert rig.driver.digest("library/small", "1") is None
    assert registry.publish(rig.client, rig.driver, rig.port, rig.image, "library/small:1")
    digest = rig.driver.digest("library/small", "1")
    assert digest
    assert digest.startswith("sha256:")
    assert not registry.publish(rig.client, rig.driver, rig.port, rig.image, "library/small:1")
    assert rig.driver.digest("library/small", digest) == digest


def test_engine_pushes_and_pulls_with_a_grant_only(rig: Rig) -> None:
    grant = rig.driver.grant(["p1/app/web"], ["pull", "push"])
    assert rig.push("p1/app/web", dict(grant)) == ""
    name = f"{rig.remote('p1/app/web')}@{rig.driver.digest('p1/app/web', '1')}"
    read = dict(rig.driver.grant(["p1/app/web"], ["pull"]))
    for auth in (
        None,
        dict(rig.driver.grant(["p1/app/db"], ["pull"])),
        dict(rig.driver.grant(["p2/app/web"], ["pull"])),
    ):
        with pytest.raises(docker.errors.APIError):
            rig.client.api.pull(name, auth_config=auth or {"username": "x", "password": "y"})
    assert "sha256" in rig.client.images.pull(name, auth_config=read).attrs["RepoDigests"][0]


def test_pushes_without_the_right_to_are_refused(rig: Rig) -> None:
    stranger = State(rig.state / "stranger")
    stranger.make()
    registry.prepare(stranger, "stranger")
    forged = Signer((stranger / "secrets/token.key").read_text(), (stranger / "secrets/token.crt").read_text()).token(
        [("p1/x", ["push", "pull"])]
    )
    late = rig.driver._signer().token([("p1/x", ["push", "pull"])], -120)
    grants = [
        {"username": "x", "password": "y"},
        dict(rig.driver.grant(["p1/x"], ["pull"])),
        dict(rig.driver.grant(["p1/y"], ["pull", "push"])),
        {"registrytoken": forged},
        {"registrytoken": late},
    ]
    for grant in grants:
        assert rig.push("p1/x", grant)
    assert rig.driver.digest("p1/x", "1") is None


def test_no_token_is_refused_by_http_too(rig: Rig) -> None:
    verify = str(rig.state / "secrets/registry-ca.crt")
    for path in ("", "_catalog", "library/small/manifests/1", "library/small/tags/list"):
        assert requests.get(f"https://127.0.0.1:{rig.port}/v2/{path}", verify=verify, timeout=5).status_code == 401


def test_delete_takes_what_begins_so_and_nothing_else(rig: Rig) -> None:
    for repository in ("p3/app/web", "p3/app/db", "p3/app2/web"):
        for tag in ("1", "2"):
            assert rig.push(repository, dict(rig.driver.grant([repository], ["pull", "push"])), tag) == ""
    for _ in range(2):
        rig.driver.delete("p3/app/")
        found = [rig.driver.digest(name, "2") for name in ("p3/app/web", "p3/app/db", "p3/app2/web")]
        assert found[:2] == [None, None]
        assert found[2]


def test_reached_by_name_from_an_attached_network_only(rig: Rig) -> None:
    network = f"{rig.instance}-{CLUSTER[:8]}"
    rig.driver.detach(CLUSTER)  # no such network: nothing to do
    with pytest.raises(errors.Unavailable, match=network):
        rig.driver.attach(CLUSTER)
    made = rig.client.networks.create(network, labels={"stackyard.instance": rig.instance})
    for _ in range(2):
        rig.driver.attach(CLUSTER)
    assert ask(rig, network) == "401"
    rig.client.containers.get(distribution.container_name(rig.instance)).remove(force=True)
    rig.start()  # a new container is put on the networks of the last one
    assert ask(rig, network) == "401"
    for _ in range(2):
        rig.driver.detach(CLUSTER)
    made.remove()


def ask(rig: Rig, network: str) -> str:
    """Return the status that a node on the network sees, checking the certificate."""
    ((path, ca),) = distribution.node_files(rig.state.folder).items()
    assert path == "/etc/docker/certs.d/registry.stackyard:5000/ca.crt"
    code = (
        "import ssl, sys, urllib.request, urllib.error\n"
        "context = ssl.create_default_context(cadata=sys.argv[1])\n"
        "try: urllib.request.urlopen(f'https://{sys.argv[2]}/v2/', context=context, timeout=10)\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    command = ["python3", "-c", code, ca, rig.driver.address()]
    return rig.client.containers.run(rig.python, command, network=network, remove=True).decode().strip()


def test_registry_that_does_not_answer_says_what_to_do(tmp_path: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(prefix="sytest-registry-") as folder:
        state = State(folder)
        driver = DistributionRegistry(docker.from_env(), "sytest-none", state.folder, 9)
        with pytest.raises(errors.Unavailable, match="stackyard up"):
            driver.digest("a", "1")
        state.make()
        registry.prepare(state, "sytest-none")
        with pytest.raises(errors.Unavailable, match="stackyard up"):
            driver.digest("a", "1")


def test_secrets_are_private_and_stay_when_prepared_again() -> None:
    with tempfile.TemporaryDirectory(prefix="sytest-registry-") as folder, contextlib.ExitStack():
        state = State(folder)
        state.make()
        registry.prepare(state, "x")
        files = {path: path.read_bytes() for path in state.folder.rglob("*") if path.is_file()}
        registry.prepare(state, "x")
        assert files == {path: path.read_bytes() for path in state.folder.rglob("*") if path.is_file()}
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert not list((state / "registry").glob("*token.key"))
