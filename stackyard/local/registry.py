# SPDX-License-Identifier: Apache-2.0
"""The registry's keys and configuration, and the images that the platform itself publishes there.

Called by `stackyard up`. The keys that sign tokens stay in the state folder's `secrets`; the registry's own
folder, which its container sees, has the certificate to check them with and nothing else of value.
"""

from __future__ import annotations

from typing import Any

import docker
import docker.errors
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.registries import distribution
from stackyard.local.state import State, write
from stackyard.model import errors
from stackyard.model.ports import Authority

INSIDE = "/registry"


def prepare(state: State, instance: str) -> None:
    """Make keys once and write the configuration; the same again changes nothing."""
    authority = _authority(state)
    if not (state / "registry/tls.key").exists():
        names = [distribution.NAME, distribution.container_name(instance), "localhost"]
        pair = X509().server_of(authority, names, ["127.0.0.1"])
        write(state / "registry/tls.crt", pair.cert)
        write(state / "registry/tls.key", pair.key)  # last: its being there says that all is
    if not (state / "secrets/token.crt").exists():
        _make_token_key(state, authority)
    write(state / "registry/tokens.crt", (state / "secrets/token.crt").read_text())
    write(state / "registry/config.yml", yaml.safe_dump(_config(), sort_keys=False))


def _authority(state: State) -> Authority:
    cert, key = state / "secrets/registry-ca.crt", state / "secrets/registry-ca.key"
    if not cert.exists():
        made = X509().authority("Stackyard registry")
        write(key, made.key)
        write(cert, made.cert)
    return Authority(cert.read_text(), key.read_text())


def _make_token_key(state: State, authority: Authority) -> None:
    """Make the key (RSA, which every version of the registry takes) and its certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    write(state / "secrets/token.key", pem)
    write(state / "secrets/token.crt", X509().signer(authority, "Stackyard tokens", pem))


def _config() -> dict[str, Any]:
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": f"{INSIDE}/data"},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": True, "age": "24h", "interval": "24h", "dryrun": False}},
        },
        "http": {
            "addr": f":{distribution.PORT}",
            "tls": {"certificate": f"{INSIDE}/tls.crt", "key": f"{INSIDE}/tls.key", "minimumtls": "tls1.2"},
        },
        "auth": {
            "token": {
                # Nobody is sent there: tokens are given to engines together with the order to pull or push.
                "realm": f"https://{distribution.NAME}:{distribution.PORT}/token",
                "service": distribution.SERVICE,
                "issuer": distribution.ISSUER,
                "rootcertbundle": f"{INSIDE}/tokens.crt",
            }
        },
    }


def publish(
    client: docker.DockerClient, registry: distribution.DistributionRegistry, port: int, image: str, name: str
) -> bool:
    """Push a local image as `name` (repository:tag) unless the registry has that very one; return whether it did."""
    repository, _, tag = name.rpartition(":")
    remote = f"127.0.0.1:{port}/{repository}"
    local = client.images.get(image).attrs
    known = {each.split("@")[1] for each in local["RepoDigests"] if each.startswith(f"{remote}@")}
    if registry.digest(repository, tag) in known:
        return False
    client.api.tag(image, remote, tag)
    auth = registry.grant([repository], ["pull", "push"])
    for line in client.api.push(remote, tag, stream=True, decode=True, auth_config=dict(auth)):
        if "error" in line:
            raise errors.Unavailable(f"{image} can't be published as {name}: {line['error']}")
    return True


def forget(client: docker.DockerClient, port: int) -> None:
    """Remove the names that publishing gave to local images; the images themselves stay under their own."""
    for image in client.api.images():
        for name in [*(image["RepoTags"] or []), *(image["RepoDigests"] or [])]:
            if name.startswith(f"127.0.0.1:{port}/"):
                try:
                    client.api.remove_image(name, force=False)
                except docker.errors.DockerException:
                    continue
