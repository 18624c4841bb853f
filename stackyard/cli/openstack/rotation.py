# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack rotate`: new keys and passwords while the services go on.

Called by `stackyard openstack`. No value is ever read: a key takes the value of another one where it is kept, and new
ones are made here and handed on. What the platform does then is a release like any other. Talks HTTP only.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any

import click

from stackyard.cli import checks, deployments, output, waiting
from stackyard.cli.openstack import secrets
from stackyard.cli.openstack.packages import APP
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session
from stackyard.model import errors

TOKEN_LIFE = datetime.timedelta(hours=1)
"""Keystone's default ([token] expiration)."""
MIGRATE = ("keystone-manage", "credential_migrate")
MIGRATE_SECONDS = 600.0
DATABASE, ACCOUNT = "_DATABASE_PASSWORD", "_PASSWORD"
NO_ACCOUNTS = ("ADMIN", "MARIADB_ROOT", "RABBITMQ")
"""Whose passwords are no service user's of Keystone."""

Json = dict[str, Any]


@click.group()
def rotate() -> None:
    """Replace keys and passwords while the services go on."""


def turned(kind: str) -> Json:
    """Return the change of config that rotates Keystone's keys of a kind (`FERNET`, `CREDENTIAL`).

    As `keystone-manage fernet_rotate` has it: the staged key (0) becomes the primary one (2), the primary one a
    secondary (1), which only opens what it closed; a new one is staged. While services are replaced, those before know
    the new primary key, since it was staged there, and those behind the old one.
    """
    staged, secondary, primary = (f"{kind}_KEY_{number}" for number in range(3))
    (new,) = secrets.made([staged]).values()
    return {staged: {"secret": new}, secondary: {"from": primary}, primary: {"from": staged}}


@rotate.command()
@click.option("--force", is_flag=True, help="Even if tokens of the key before the last one end by it.")
@deployments.wait_option
@output.json_option
def fernet(force: bool, wait: bool, as_json: bool) -> None:
    """Rotate the keys of tokens; tokens issued before stay valid."""
    session = Session(SERVICE)
    there = _config(session, "FERNET_KEY_2")
    if not force:
        _check_time(there.get("FERNET_ROTATED_AT"), _now())
    change = {**turned("FERNET"), "FERNET_ROTATED_AT": f"{_now():%Y-%m-%dT%H:%M:%SZ}"}
    _release(session, change, "keys of tokens rotated", wait=wait, as_json=as_json)


def _check_time(last: str | None, now: datetime.datetime) -> None:
    """Raise Conflict while tokens of the key that would go may still be good."""
    until = datetime.datetime.fromisoformat(last) + TOKEN_LIFE if last else now
    if until > now:
        raise errors.Conflict(
            f"the keys were rotated at {last}; tokens from before are good until {until:%H:%M:%S} UTC and would end"
            " now: wait, or add --force"
        )


@rotate.command()
@deployments.wait_option
@output.json_option
def credential(wait: bool, as_json: bool) -> None:
    """Rotate the keys of stored credentials, which are closed with the new one then."""
    session, progress = Session(SERVICE), output.Progress(quiet=as_json)
    _config(session, "CREDENTIAL_KEY_2")
    # Nothing may depend on the key that goes: whoever was interrupted before may have left some of it.
    _migrate(session, progress)
    _release(session, turned("CREDENTIAL"), "keys of credentials rotated", wait=wait, as_json=as_json)
    if wait:
        _migrate(session, progress)


def _migrate(session: Session, progress: output.Progress) -> None:
    """Have all stored credentials closed with the primary key; raises with the reason when that failed."""
    asked = {"command": list(MIGRATE), "service": "keystone", "terminal": False, "attached": False}
    with progress.step("stored credentials closed with the newest key"):
        job = session.post(f"/apps/{APP}/jobs", asked)
        path = f"/apps/{APP}/jobs/{job['uuid']}"
        (done,) = waiting.until(lambda: checks.ended(session, [path]), " ".join(MIGRATE), MIGRATE_SECONDS)
    if done["status"] != "done":
        raise errors.StackyardError(f"{' '.join(MIGRATE)}: {done['status_reason']}")


@rotate.command()
@click.option("--service", "services", multiple=True, metavar="SERVICE", help="Only of this service; may be repeated.")
@click.option("--accounts", is_flag=True, help="Also the users that services are in Keystone, which has one password.")
@deployments.wait_option
@output.json_option
def passwords(services: tuple[str, ...], accounts: bool, wait: bool, as_json: bool) -> None:
    """Replace the passwords of databases: the one before is good until the services with the new one serve."""
    session = Session(SERVICE)
    names = chosen(_config(session), services, accounts=accounts)
    change = {name: {"secret": value} for name, value in secrets.made(names).items()}
    _release(session, change, f"{len(names)} passwords replaced", wait=wait, as_json=as_json)


def chosen(known: Collection[str], services: Sequence[str], *, accounts: bool) -> list[str]:
    """Return the keys of config with passwords of services (none named: of all); raises BadInput for others."""
    kept = {name.removesuffix(DATABASE).lower(): [name] for name in known if name.endswith(DATABASE)}
    for service, names in kept.items():
        own = f"{service.upper()}{ACCOUNT}"
        if accounts and own in known and service.upper() not in NO_ACCOUNTS:
            names.append(own)
    unknown = sorted(set(services) - kept.keys())
    if unknown or not kept:
        missing, there = ", ".join(unknown) or "any service", ", ".join(sorted(kept))
        raise errors.BadInput(f"no passwords of {missing}; there are: {there or 'none'}")
    return sorted({name for service in services or kept for name in kept[service]})


def _config(session: Session, *needed: str) -> Json:
    there: Json = session.get(f"/apps/{APP}/config")
    if any(name not in there for name in needed):
        raise errors.Conflict("what is deployed has no place for a third key yet; run: stackyard openstack deploy")
    return there


def _release(session: Session, change: Json, what: str, *, wait: bool, as_json: bool) -> None:
    answer = session.patch(f"/apps/{APP}/config", change)
    if answer["release"] is None:
        raise errors.Conflict(f"{what}, but nothing is released yet; run: stackyard openstack deploy")
    title = f"{what} by release {answer['release']}"
    deployments.finish(session, APP, answer, title, wait=wait, as_json=as_json)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
