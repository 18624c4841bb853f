# SPDX-License-Identifier: Apache-2.0
"""The platform's registry on loopback without logins, with the `Registry` port in front of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker
import docker.errors
import requests

from stackyard.drivers.registries.assembling import assemble
from stackyard.drivers.registries.manifests import Manifests
from stackyard.model.ports import Tar

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class LoopbackRegistry:
    """Grants everything to everyone; otherwise the port as it is."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self.manifests = Manifests(f"http://{self._address}/v2", lambda _: {})
        self.granted: list[tuple[tuple[str, ...], ...]] = []

    def address(self) -> str:
        return self._address

    def grant(
        self, repositories: Sequence[str], actions: Sequence[str], mount: Sequence[str] = ()
    ) -> Mapping[str, str]:
        self.granted.append((tuple(repositories), tuple(actions), tuple(mount)))
        return {}

    def digest(self, repository: str, tag: str) -> str | None:
        url = f"http://{self._address}/v2/{repository}/manifests/{tag}"
        answer = self._session.head(url, headers={"Accept": MANIFEST})
        return answer.headers["Docker-Content-Digest"] if answer.ok else None

    def assemble(
        self, below: str, layers: Sequence[Tar], config: Mapping[str, Any], repository: str, tag: str
    ) -> str | None:
        name, _, digest = below.partition("@")
        source = name.removeprefix(f"{self._address}/")
        return assemble(self.manifests, (source, digest), layers, config, (repository, tag))

    def lose(self, repository: str) -> None:
        """Delete all images of a repository."""
        url = f"http://{self._address}/v2/{repository}"
        for tag in self._session.get(f"{url}/tags/list").json()["tags"]:
            answer = self._session.delete(f"{url}/manifests/{self.digest(repository, tag)}")
            assert answer.status_code == 202, answer.text

    def attach(self, cluster_id: str) -> None: ...

    def detach(self, cluster_id: str) -> None: ...

    def delete(self, prefix: str) -> None: ...


@contextlib.contextmanager
def running(engine: docker.DockerClient, image: str, name: str) -> Iterator[LoopbackRegistry]:
    """Run the platform's registry image without its logins until left."""
    with contextlib.suppress(docker.errors.NotFound):  # of a run that was killed
        engine.api.remove_container(name, v=True, force=True)
    container = engine.containers.run(image, detach=True, name=name, ports={"5000/tcp": ("127.0.0.1", None)})
    try:
        container.reload()
        registry = LoopbackRegistry(int(container.ports["5000/tcp"][0]["HostPort"]))
        for _ in range(250):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"http://{registry.address()}/v2/", timeout=1)
                break
            time.sleep(0.02)
        yield registry
    finally:
        container.remove(v=True, force=True)
