# SPDX-License-Identifier: Apache-2.0
"""The one-machine platform's own Keystone: its files and database, and what is in it.

Called by `up`. `prepare` works without a running Keystone and `converge` through its API (v3); both can be repeated
at any point. Everything is made by Keystone's own means; nothing writes into its database from here.
"""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import io
import os
import pathlib
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import requests

from stackyard.local.state import State, write
from stackyard.local.supervisor import Program, clean_environment, marker
from stackyard.model import errors

REGION = "RegionOne"
VERSION = metadata.version("keystone")
TIMEOUT = 30
THREADS = 4


@dataclasses.dataclass(frozen=True)
class Account:
    """A user with one role in one project; made with a generated password."""

    user: str
    project: str
    role: str


ADMIN = Account("admin", "admin", "admin")
ACCOUNTS = (
    Account("demo", "demo", "member"),
    Account("other", "other", "member"),
    Account("stackyard", "service", "service"),
)


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A service of the catalog with its address."""

    type: str
    name: str
    url: str
    description: str


def catalog(identity_url: str, api_url: str) -> list[Endpoint]:
    """Return what the catalog shall say; clients look for Magnum under two types (the second is the official one)."""
    clusters = f"{api_url}/container-infra/v1"
    return [
        Endpoint("identity", "keystone", identity_url, "Identity"),
        Endpoint("container-infra", "magnum", clusters, "Clusters"),
        Endpoint("container-infrastructure-management", "magnum", clusters, "Clusters"),
        Endpoint("application_deployment", "solum", f"{api_url}/application-deployment/v1", "Applications"),
    ]


# --- files and database ------------------------------------------------------------------------


def program(state: State, address: str) -> Program:
    """Describe Keystone's process."""
    command = (sys.executable, "-m", "stackyard.local.serve", "keystone", "keystone.wsgi.api:application")
    return Program(
        "keystone", (*command, address, str(THREADS)), {"OS_KEYSTONE_CONFIG_FILES": str(_conf(state))}, _inputs(state)
    )


def _inputs(state: State) -> str:
    return VERSION + _conf(state).read_text()


def configure(state: State, identity_url: str) -> None:
    """Write keystone.conf."""
    folder = state / "keystone"
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {"public_endpoint": identity_url.removesuffix("/v3"), "use_stderr": "true"},
        "database": {"connection": f"sqlite:///{folder}/keystone.db"},
        "token": {"provider": "fernet", "expiration": 4 * 3600},
        "fernet_tokens": {"key_repository": folder / "fernet-keys"},
        "fernet_receipts": {"key_repository": folder / "receipt-keys"},
        "credential": {"key_repository": folder / "credential-keys"},
        # Our passwords are 192 random bits: guessing is hopeless even where each guess is cheap.
        "identity": {"password_hash_rounds": 6},
        "cache": {"enabled": "true", "backend": "oslo_cache.dict", "expiration_time": 300},
        "oslo_policy": {"policy_file": folder / "policy.yaml"},
    }
    parser = configparser.RawConfigParser()
    parser.read_dict({name: {key: str(value) for key, value in options.items()} for name, options in sections.items()})
    text = io.StringIO()
    parser.write(text)
    write(_conf(state), text.getvalue())


def is_prepared(state: State) -> bool:
    """Tell whether keys and database are there, made for this version of Keystone."""
    done = state / "keystone/prepared"
    return done.exists() and done.read_text() == VERSION and (state / "keystone/keystone.db").exists()


def prepare(state: State, identity_url: str) -> None:
    """Make keys, database, admin and first catalog entry unless that was done."""
    if is_prepared(state):
        return
    if not (state / "keystone/prepared").exists():
        _clear(state)
    for name in ("fernet-keys", "receipt-keys", "credential-keys"):
        (state / "keystone" / name).mkdir(mode=0o700, exist_ok=True)
    _manage(state, "db_sync")
    _keep_readable(state / "keystone/keystone.db")
    _manage(state, "fernet_setup", *_owner())
    _manage(state, "bootstrap", **_bootstrap(state, identity_url))
    write(state / "keystone/prepared", VERSION)


def _clear(state: State) -> None:
    """Remove what a killed first attempt left: SQLite takes half a migration, and then refuses the whole."""
    for path in (state / "keystone").glob("keystone.db*"):
        path.unlink()


def _owner() -> tuple[str, ...]:
    return "--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())


def _bootstrap(state: State, identity_url: str) -> dict[str, str]:
    """Return bootstrap's options as environment, where no other user can read the password."""
    return {
        "OS_BOOTSTRAP_USERNAME": ADMIN.user,
        "OS_BOOTSTRAP_PASSWORD": state.password(ADMIN.user),
        "OS_BOOTSTRAP_PROJECT_NAME": ADMIN.project,
        "OS_BOOTSTRAP_SERVICE_NAME": "keystone",
        "OS_BOOTSTRAP_REGION_ID": REGION,
        "OS_BOOTSTRAP_ADMIN_URL": identity_url,
        "OS_BOOTSTRAP_PUBLIC_URL": identity_url,
        "OS_BOOTSTRAP_INTERNAL_URL": identity_url,
    }


def _manage(state: State, *arguments: str, **environment: str) -> None:
    command = [str(pathlib.Path(sys.executable).with_name("keystone-manage")), "--config-file", str(_conf(state))]
    done = subprocess.run(
        [*command, *arguments],
        env=clean_environment() | environment | marker(state),  # the next `up` finds it, should this one be killed
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise errors.Unavailable(f"keystone-manage {arguments[0]} failed; its output ends:\n{done.stdout[-1500:]}")


def _keep_readable(path: pathlib.Path) -> None:
    """Let users log in while the disk is full: a write-ahead log would have to be made anew even to read."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    path.chmod(0o600)


def _conf(state: State) -> pathlib.Path:
    return state / "keystone/keystone.conf"


# --- through the API ---------------------------------------------------------------------------


def converge(state: State, identity_url: str, endpoints: Sequence[Endpoint]) -> None:
    """Have accounts and catalog as they shall be; raises Unavailable when Keystone does not answer or refuses."""
    with Keystone(identity_url, state.password(ADMIN.user)) as keystone:
        for account in ACCOUNTS:
            _account(keystone, account, state.password(account.user))
        _catalog(keystone, endpoints)


class Keystone:
    """A session with Keystone as its admin; as much of the v3 API as is needed here."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self._http = requests.Session()
        self._http.trust_env = False
        user = {"name": ADMIN.user, "domain": {"id": "default"}, "password": password}
        scope = {"project": {"name": ADMIN.project, "domain": {"id": "default"}}}
        login = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        self._http.headers["X-Auth-Token"] = self.call("POST", "/auth/tokens", login).headers["X-Subject-Token"]

    def __enter__(self) -> Keystone:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None, fine: Sequence[int] = ()) -> requests.Response:
        """Send one request; raises Unavailable for anything but success and the statuses that are `fine`."""
        try:
            answer = self._http.request(method, self._url + path, json=body, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise errors.Unavailable(f"Keystone does not answer at {self._url}: {error}") from None
        if not answer.ok and answer.status_code not in fine:
            raise errors.Unavailable(f"Keystone refused {method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer

    def all(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        """Return all things of a kind."""
        query = "&".join(f"{key}={value}" for key, value in filters.items())
        found: list[dict[str, Any]] = self.call("GET", f"/{kind}s?{query}").json()[f"{kind}s"]
        return found

    def ensure(self, kind: str, wanted: Mapping[str, Any], **extra: str) -> str:
        """Return the id of the thing with these fields' name, making it (with `extra` too) if it is not there."""
        for found in self.all(kind, name=wanted["name"]):
            if all(found.get(key) == value for key, value in wanted.items()):
                return str(found["id"])
        made = self.call("POST", f"/{kind}s", {kind: {**wanted, **extra}}).json()[kind]
        return str(made["id"])


def _account(keystone: Keystone, account: Account, password: str) -> None:
    domain = {"domain_id": "default"}
    project = keystone.ensure("project", {"name": account.project, **domain})
    role = keystone.ensure("role", {"name": account.role, "domain_id": None})
    user = keystone.ensure("user", {"name": account.user, **domain}, password=password)
    keystone.call("PUT", f"/projects/{project}/users/{user}/roles/{role}")


def _catalog(keystone: Keystone, endpoints: Sequence[Endpoint]) -> None:
    present = keystone.all("endpoint")
    for wanted in endpoints:
        fields = {"type": wanted.type, "name": wanted.name}
        service = keystone.ensure("service", fields, description=wanted.description)
        mine = [each for each in present if each["service_id"] == service]
        for interface in ("public", "internal", "admin"):
            found = [each for each in mine if each["interface"] == interface]
            _endpoint(keystone, found, {"service_id": service, "interface": interface, "url": wanted.url})


def _endpoint(keystone: Keystone, found: Sequence[Mapping[str, Any]], wanted: dict[str, str]) -> None:
    """Have one endpoint of this interface, at this address."""
    if not found:
        keystone.call("POST", "/endpoints", {"endpoint": {**wanted, "region_id": REGION}})
    for each in found[:1]:
        if each["url"] != wanted["url"]:
            keystone.call("PATCH", f"/endpoints/{each['id']}", {"endpoint": {"url": wanted["url"]}})
    for each in found[1:]:
        keystone.call("DELETE", f"/endpoints/{each['id']}", fine=[404])
