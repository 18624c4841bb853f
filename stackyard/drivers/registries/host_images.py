# SPDX-License-Identifier: Apache-2.0
"""Images of the platform's own Engine lent to builds: copied into the registry under the project's name.

Given to the builder by the composition root. Only names that the operator allows are ever looked for, so that no
tenant learns what else the host has.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

import docker
import docker.errors

from stackyard.model import errors
from stackyard.model.ports import Log, Registry


class HostImages:
    """Images of one Engine whose name (with its tag) fits one of `allowed`, shell patterns such as `debian:*`."""

    def __init__(
        self, client: Callable[[], docker.DockerClient], registry: Registry, port: int, allowed: Sequence[str]
    ) -> None:
        """`port` is the registry's on this machine's loopback."""
        self._client = client
        self._registry = registry
        self._port = port
        self.allowed = tuple(allowed)

    def lend(self, name: str, project_id: str, log: Log) -> tuple[str, str] | None:
        """Return (repository, digest) of a copy in the registry for the project; None where it is not there for it."""
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.allowed):
            return None
        api = self._client().api
        try:
            found = api.inspect_image(name)  # type: ignore[no-untyped-call]
        except docker.errors.ImageNotFound:
            return None
        except docker.errors.DockerException as error:
            raise errors.Unavailable(f"the platform's own Engine does not answer: {error}") from None
        repository = f"{project_id}/host/{name.rpartition(':')[0]}".lower()
        digest = self._published(repository, name.rpartition(":")[2], found["RepoDigests"] or [])
        if digest is None:
            log(f"Copying {name} from the platform's own Engine into the registry\n")
            digest = self._publish(api, found["Id"], repository, name.rpartition(":")[2])
        return repository, digest

    def _published(self, repository: str, tag: str, known: Sequence[str]) -> str | None:
        """Return the digest of the copy that is there, if it is of this very image."""
        digest = self._registry.digest(repository, tag)
        return digest if f"127.0.0.1:{self._port}/{repository}@{digest}" in known else None

    def _publish(self, api: docker.APIClient, image: str, repository: str, tag: str) -> str:
        remote = f"127.0.0.1:{self._port}/{repository}"
        auth = dict(self._registry.grant([repository], ["pull", "push"]))
        try:
            api.tag(image, remote, tag)
            for line in api.push(remote, tag, stream=True, decode=True, auth_config=auth or None):
                if "error" in line:
                    raise errors.Unavailable(f"image {repository} can't be copied into the registry: {line['error']}")
        except docker.errors.DockerException as error:
            raise errors.Unavailable(f"image {repository} can't be copied into the registry: {error}") from None
        digest = self._registry.digest(repository, tag)
        if digest is None:
            raise errors.Unavailable(f"the registry lost {repository}:{tag} right after it was pushed")
        return digest
