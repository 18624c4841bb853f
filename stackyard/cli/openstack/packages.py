# SPDX-License-Identifier: Apache-2.0
"""The packages of `stackyard openstack`, as they stand in this checkout: `openstack` and, smaller, `identity`.

Both are the application `openstack`: one grows into the other. Which one is deployed, and at which address, is kept in
the application's config.
"""

from __future__ import annotations

import dataclasses
import pathlib
import urllib.parse
from collections.abc import Mapping
from typing import Any

from stackyard.cli.openstack import secrets

APP = "openstack"
GATEWAY = "api"
REGION = "RegionOne"
NAMES = ("openstack", "identity")
ROOT = pathlib.Path(__file__).resolve().parents[3] / "packages"
RELEASES = ("2025.1",)
HERE = "127.0.0.1"

PACKAGE_KEY, URL_KEY, REGION_KEY, RELEASE_KEY = "PACKAGE", "API_URL", "REGION", "OPENSTACK_RELEASE"
"""Keys of config with what was asked for."""
PLATFORM_KEY, PLATFORM_USER, PLATFORM_PASSWORD = "STACKYARD_URL", "magnum", "STACKYARD_PASSWORD"
"""Where Stackyard is, as whom it asks Keystone about tokens, and the key of config with that user's password."""

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All that a deployment is derived from; `address` is a host name or address, or a whole URL.

    `replicas` are numbers of services that are to be others than the package's.
    """

    address: str = HERE
    nodes: int = 1
    cluster: str = APP
    release: str = RELEASES[-1]
    package: str = NAMES[0]
    replicas: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> pathlib.Path:
        """Return the package's source tree."""
        return ROOT / self.package

    @property
    def host(self) -> str:
        """Return the host in the address."""
        return (urllib.parse.urlsplit(self.address).hostname or "") if "://" in self.address else self.address

    def url(self, domain: Json) -> str:
        """Return where users reach the APIs: at the platform's router, unless the address says otherwise."""
        return self.address.rstrip("/") if "://" in self.address else str(domain["http_url"])

    def config(self, url: str, platform: str, there: Mapping[str, Any]) -> Json:
        """Return the change of config: what is derived from these, and new secrets for those that it lacks.

        `url` is where users reach the APIs, `platform` where they reach Stackyard's own.
        """
        derived = {URL_KEY: url, PLATFORM_KEY: platform, REGION_KEY: REGION}
        derived |= {PACKAGE_KEY: self.package, RELEASE_KEY: self.release}
        plain = {key: value for key, value in derived.items() if there.get(key) != value}
        return {**plain, **secrets.changes(self.secrets, there)}

    @property
    def secrets(self) -> list[str]:
        """Return the names of the secrets that the package needs."""
        return secrets.needed(self.folder / "compose.yaml")

    @property
    def serves_platform(self) -> bool:
        """Tell whether Stackyard is one of the package's services: then its Keystone tells who may use it, too."""
        return PLATFORM_PASSWORD in self.secrets


def deployed(config: Mapping[str, Any], **asked: Any) -> Inputs:
    """Return what is asked for, with what was asked for before in place of None."""
    before = {
        "address": config.get(URL_KEY),
        "package": config.get(PACKAGE_KEY) or (NAMES[0] if URL_KEY in config else None),
        "release": config.get(RELEASE_KEY),
    }
    chosen = {**before, **{key: value for key, value in asked.items() if value is not None}}
    return Inputs(**{key: value for key, value in chosen.items() if value is not None})
