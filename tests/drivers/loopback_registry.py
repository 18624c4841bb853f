# SPDX-License-Identifier: Apache-2.0
"""A real registry (Debian's docker-registry) on loopback without logins, with the `Registry` port in front of it."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

import requests

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class LoopbackRegistry:
    """Grants everything to everyone; otherwise the port as it is."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self.granted: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def address(self) -> str:
        return self._address

    def grant(
        self, repositories: Sequence[str], actions: Sequence[str], mount: Sequence[str] = ()
    ) -> Mapping[str, str]:
        self.granted.append((tuple(repositories), tuple(actions)))
        return {}

    def digest(self, repository: str, tag: str) -> str | None:
        url = f"http://{self._address}/v2/{repository}/manifests/{tag}"
        answer = self._session.head(url, headers={"Accept": MANIFEST})
        return answer.headers["Docker-Content-Digest"] if answer.ok else None

    def attach(self, cluster_id: str) -> None: ...

    def detach(self, cluster_id: str) -> None: ...

    def delete(self, prefix: str) -> None: ...


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[LoopbackRegistry]:
    """Run docker-registry until left."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{folder / 'data'}'}}, delete: {{enabled: true}}}}\n"
    )
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        for _ in range(250):
            with contextlib.suppress(requests.ConnectionError):
                requests.get(f"http://127.0.0.1:{port}/v2/", timeout=1)
                break
            time.sleep(0.02)
        yield LoopbackRegistry(port)
    finally:
        process.terminate()
        process.wait()
