# SPDX-License-Identifier: Apache-2.0
"""What users need to talk to their platform: a clouds.yaml, and exports for a shell.

Called by `up` and `env`; the clouds are read by every OpenStack client (openstacksdk's format).
"""

from __future__ import annotations

import os
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping

import yaml

from stackyard import conf
from stackyard.local.identity import ACCOUNTS, ADMIN, REGION, Account
from stackyard.local.state import State, write

CLOUDS: dict[str, Account] = {"stackyard": ACCOUNTS[0], "stackyard-admin": ADMIN, "stackyard-other": ACCOUNTS[1]}
LOOPBACK = "127.0.0.1,localhost,.localhost"


def write_clouds(state: State, identity_url: str) -> None:
    """Write clouds.yaml (0600: it has passwords in it); clouds of other names in it stay."""
    there = (yaml.safe_load(state.clouds.read_text()) or {}).get("clouds") or {} if state.clouds.exists() else {}
    clouds = {**there, **{name: _cloud(state, account, identity_url) for name, account in CLOUDS.items()}}
    write(state.clouds, yaml.safe_dump({"clouds": clouds}, sort_keys=False))


def _cloud(state: State, account: Account, identity_url: str) -> dict[str, object]:
    return {
        "auth": {
            "auth_url": identity_url,
            "username": account.user,
            "password": state.password(account.user),
            "project_name": account.project,
            "user_domain_id": "default",
            "project_domain_id": "default",
        },
        "region_name": REGION,
        "interface": "public",
        "identity_api_version": 3,
    }


def exports(state: State, environment: Mapping[str, str]) -> str:
    """Return shell commands (POSIX) that make the platform's clouds the caller's, given its environment."""
    return "\n".join(
        [*_unset(environment), *(f"export {key}={shlex.quote(value)}" for key, value in _set(state, environment))]
    )


def _unset(environment: Mapping[str, str]) -> list[str]:
    """Return what takes away settings of another cloud, which would win over clouds.yaml."""
    ours = ("OS_CLOUD", "OS_CLIENT_CONFIG_FILE")
    foreign = sorted(key for key in environment if key.startswith("OS_") and key not in ours)
    return [f"unset {' '.join(foreign)}"] if foreign else []


def _set(state: State, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "OS_CLIENT_CONFIG_FILE", str(state.clouds)
    known = environment.get("OS_CLOUD", "")
    yield "OS_CLOUD", known if known in CLOUDS else "stackyard"
    if "STACKYARD_STATE_DIR" in environment or str(state.folder) != conf.default_state_dir():
        yield "STACKYARD_STATE_DIR", str(state.folder)
    yield "STACKYARD_CA", str(state.authority)
    commands = str(pathlib.Path(sys.executable).parent)
    path = environment.get("PATH", "")
    if commands not in path.split(os.pathsep):
        yield "PATH", os.pathsep.join(filter(None, [commands, path]))
    for key in ("no_proxy", "NO_PROXY"):
        proxied = any(environment.get(name) for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"))
        around = environment.get(key, "")
        if proxied and "127.0.0.1" not in around.split(","):
            yield key, ",".join(filter(None, [around, LOOPBACK]))
