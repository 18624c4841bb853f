# SPDX-License-Identifier: Apache-2.0
"""The cloud `openstack` in the generated clouds.yaml, by which every OpenStack client finds what was deployed.

Called by `stackyard openstack`. Other clouds in the file stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from typing import Any

import yaml

from stackyard.cli import clouds

NAME = "openstack"


def path() -> pathlib.Path:
    """Return the file: the one that the environment names, else the one-machine platform's."""
    named = os.environ.get("OS_CLIENT_CONFIG_FILE")
    return pathlib.Path(named) if named else clouds.state_dir() / "clouds.yaml"


def authority() -> str | None:
    """Return the path of the CA whose certificates the router serves: as the environment says, or this machine's."""
    named = os.environ.get("STACKYARD_CA")
    found = pathlib.Path(named) if named else clouds.state_dir() / "certificates" / "stackyard-ca.crt"
    return str(found) if found.is_file() else None


def known(auth_url: str) -> bool:
    """Tell whether the file has the cloud at this address, with its password."""
    auth = (_read().get(NAME) or {}).get("auth") or {}
    return auth.get("auth_url") == auth_url and bool(auth.get("password"))


def write(auth_url: str, password: str, region: str, cacert: str | None = None) -> None:
    """Add the cloud (administrator of project `admin`), or bring it up to date; `cacert` is the path of its CA."""
    cloud = {
        "auth": {
            "auth_url": auth_url,
            "username": "admin",
            "password": password,
            "project_name": "admin",
            "user_domain_id": "default",
            "project_domain_id": "default",
        },
        "region_name": region,
        "interface": "public",
        "identity_api_version": 3,
    }
    _save({**_read(), NAME: cloud | ({"cacert": cacert} if cacert else {})})


def forget() -> None:
    """Take the cloud out."""
    found = _read()
    if found.pop(NAME, None):
        _save(found)


def _read() -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        return dict((yaml.safe_load(path().read_text()) or {}).get("clouds") or {})
    return {}


def _save(found: dict[str, Any]) -> None:
    """Replace the file as a whole; 0600, since it has passwords in it."""
    with tempfile.NamedTemporaryFile("w", dir=path().parent, delete=False) as file:
        yaml.safe_dump({"clouds": found}, file, sort_keys=False)
    pathlib.Path(file.name).replace(path())
