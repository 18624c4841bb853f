# SPDX-License-Identifier: Apache-2.0
"""The platform's image registry (CNCF Distribution, Debian's docker-registry): the `Registry` port.

Used by the worker and by `stackyard up`. Nodes reach the registry by an alias on their cluster's network, this
machine by loopback; both by TLS under the platform's own CA. Whoever comes must show a token that names the
repositories: the registry checks its signature, so that no login service has to answer (the token format is
Distribution's, https://distribution.github.io/distribution/spec/auth/jwt/).
"""

from __future__ import annotations

import base64
import functools
import pathlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import docker
import docker.errors
import jwt
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from stackyard.drivers.registries.assembling import assemble
from stackyard.drivers.registries.manifests import Manifests
from stackyard.model import errors
from stackyard.model.ports import Tar

NAME = "registry.stackyard"
PORT = 5000
ISSUER = SERVICE = "stackyard"
CATALOG = "registry:catalog"
TOKEN_SECONDS = 3600  # a push of a large image uses one token from beginning to end
TIMEOUT = 30
MANIFESTS = ", ".join(
    [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    ]
)


def container_name(instance: str) -> str:
    """Return the name of the registry's container."""
    return f"{instance}-registry"


def node_files(folder: pathlib.Path) -> dict[str, str]:
    """Return the files (path: text) that make a node's engine trust the registry of the state folder."""
    return {f"/etc/docker/certs.d/{NAME}:{PORT}/ca.crt": (folder / "secrets" / "registry-ca.crt").read_text()}


class Signer:
    """Signs tokens with the platform's key; the registry trusts the certificate that goes with it."""

    def __init__(self, key: str, certificate: str) -> None:
        """Take both as PEM text."""
        # Loaded once: checking an RSA key takes longer than a whole push may spend on the registry.
        self._key = cast(RSAPrivateKey, serialization.load_pem_private_key(key.encode(), password=None))
        loaded = x509.load_pem_x509_certificate(certificate.encode())
        self._chain = [base64.b64encode(loaded.public_bytes(serialization.Encoding.DER)).decode()]

    def token(self, access: Sequence[tuple[str, Sequence[str]]], seconds: int = TOKEN_SECONDS) -> str:
        """Return a JWT for `access`: repositories (or `registry:catalog`) with the actions allowed on each."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "",
            "aud": SERVICE,
            "nbf": now - 60,
            "iat": now,
            "exp": now + seconds,
            "jti": uuid.uuid4().hex,
            "access": [_scope(name, actions) for name, actions in access],
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"x5c": self._chain})


_signer_of = functools.lru_cache(maxsize=4)(Signer)
"""Signers by what the files say, so that a new key counts at once."""


@functools.lru_cache(maxsize=256)
def _token(signer: Signer, access: tuple[tuple[str, tuple[str, ...]], ...], _moment: int) -> str:
    """Return a token that is used again for some seconds: signing takes longer than what it allows."""
    return signer.token(access, 60)


def _scope(name: str, actions: Sequence[str]) -> dict[str, object]:
    kind, _, rest = name.partition(":")
    if rest:
        return {"type": kind, "name": rest, "actions": list(actions)}
    return {"type": "repository", "name": name, "actions": list(actions)}


class DistributionRegistry:
    """The registry of one platform; implements `ports.Registry`."""

    def __init__(self, client: docker.DockerClient, instance: str, folder: pathlib.Path, port: int) -> None:
        """`folder` is the state folder, `port` the loopback port; nothing is read or asked until it is used."""
        self._client = client
        self._instance = instance
        self._secrets = folder / "secrets"
        self._url = f"https://127.0.0.1:{port}/v2"
        self.manifests = Manifests(self._url, self._bearer, str(self._secrets / "registry-ca.crt"))
        """The registry's images as documents, for what is done without an engine."""

    def address(self) -> str:
        """Return `host:port` under which nodes reach the registry."""
        return f"{NAME}:{PORT}"

    def grant(
        self, repositories: Sequence[str], actions: Sequence[str], mount: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """Return engine auth for these repositories (names without the registry's address), good for an hour."""
        access = [(name, actions) for name in repositories] + [(name, ["pull"]) for name in mount]
        return {"registrytoken": self._signer().token(access)}

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the manifest digest, or None when there is no such image."""
        answer = self._call("HEAD", f"{repository}/manifests/{tag}", (repository, ["pull"]))
        return answer.headers.get("Docker-Content-Digest") if answer.ok else None

    def assemble(
        self, below: str, layers: Sequence[Tar], config: Mapping[str, Any], repository: str, tag: str
    ) -> str | None:
        """Write an image of one that is here (by digest) and layers on top; None where it is not here (any more)."""
        name, _, digest = below.partition("@")
        source = name.removeprefix(f"{self.address()}/")
        return assemble(self.manifests, (source, digest), layers, config, (repository, tag))

    def _bearer(self, access: Sequence[tuple[str, Sequence[str]]]) -> Mapping[str, str]:
        asked = tuple((name, tuple(actions)) for name, actions in access)
        return {"Authorization": f"Bearer {_token(self._signer(), asked, int(time.time() // 20))}"}

    def attach(self, cluster_id: str) -> None:
        """Give the registry its name on the cluster's network."""
        network = self._network(cluster_id)
        try:
            container = self._client.api.inspect_container(container_name(self._instance))
            if network in container["NetworkSettings"]["Networks"]:
                return
            self._client.api.connect_container_to_network(container["Id"], network, aliases=[NAME])
        except docker.errors.DockerException as error:
            if "already exists in network" not in str(error):
                raise errors.Unavailable(f"the registry can't be reached from network {network}: {error}") from None

    def detach(self, cluster_id: str) -> None:
        """Take the registry off the cluster's network, if it and both are there."""
        network = self._network(cluster_id)
        try:
            self._client.api.disconnect_container_from_network(container_name(self._instance), network, force=True)
        except docker.errors.NotFound:
            return
        except docker.errors.DockerException as error:
            if "is not connected" not in str(error):
                raise errors.Unavailable(f"the registry can't leave network {network}: {error}") from None

    def delete(self, prefix: str) -> None:
        """Delete all images whose repository begins with `prefix`; space is given back when the registry restarts."""
        for repository in list(self._repositories()):
            if repository.startswith(prefix):
                self._delete_repository(repository)

    def _delete_repository(self, repository: str) -> None:
        found = self._call("GET", f"{repository}/tags/list", (repository, ["pull"]))
        tags = (found.json().get("tags") or []) if found.ok else []
        for digest in {self.digest(repository, tag) for tag in tags} - {None}:
            gone = self._call("DELETE", f"{repository}/manifests/{digest}", (repository, ["delete"]))
            if not gone.ok and gone.status_code != 404:
                raise errors.Unavailable(f"the registry did not delete {repository}: {gone.status_code} {gone.text}")

    def _repositories(self) -> Iterator[str]:
        """Yield the names of all repositories, page by page."""
        last = ""
        while True:
            answer = self._call("GET", f"_catalog?n=500&last={last}", (CATALOG, ["*"]))
            names = answer.json()["repositories"] if answer.ok else []
            yield from names
            if "Link" not in answer.headers or not names:
                return
            last = names[-1]

    def _call(self, method: str, path: str, access: tuple[str, Sequence[str]]) -> requests.Response:
        """Call the registry's own API (OCI distribution); raises Unavailable when it does not answer or refuses us."""
        headers = {"Authorization": f"Bearer {self._signer().token([access], 60)}", "Accept": MANIFESTS}
        with requests.Session() as session:
            session.trust_env = False  # a proxy has no business between us and loopback
            session.verify = str(self._secrets / "registry-ca.crt")
            try:
                answer = session.request(method, f"{self._url}/{path}", headers=headers, timeout=TIMEOUT)
            except (requests.RequestException, OSError) as error:
                raise errors.Unavailable(
                    f"the image registry does not answer: {error}; 'stackyard up' repairs it"
                ) from None
        if answer.status_code in (401, 403) or answer.status_code >= 500:
            raise errors.Unavailable(f"the image registry refused {method} {path}: {answer.status_code} {answer.text}")
        return answer

    def _signer(self) -> Signer:
        try:
            key, certificate = (self._secrets / "token.key").read_text(), (self._secrets / "token.crt").read_text()
        except OSError as error:
            raise errors.Unavailable(f"the registry's signing key can't be read: {error}; run 'stackyard up'") from None
        return _signer_of(key, certificate)

    def _network(self, cluster_id: str) -> str:
        return f"{self._instance}-{cluster_id[:8]}"
