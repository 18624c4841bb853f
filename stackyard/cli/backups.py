# SPDX-License-Identifier: Apache-2.0
"""`stackyard backup`: backups of an application's services. Talks HTTP only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote

Json = dict[str, Any]

COLUMNS = ("number", "service", "environment", "form", "cause", "status", "size", "created_at", "verified_at", "reason")
SECONDS = 21600.0
BUSY = ("CREATING", "VERIFYING", "RESTORING")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

wait_option = click.option("--wait/--no-wait", default=True, help="Wait until it is over. Default: yes.")


@click.group()
def backup() -> None:
    """Back up an application's services; verify and restore what is kept."""


@backup.command()
@click.argument("app")
@click.option("--service", help="Only this one; by default each that says how it is backed up.")
@wait_option
@output.env_option
@output.json_option
def create(app: str, service: str | None, wait: bool, environment: str | None, as_json: bool) -> int:
    """Make a backup of a service, or of each that says how it is backed up."""
    made = make(Session(SERVICE), app, service, environment, wait=wait, quiet=as_json)
    return tell(made, as_json=as_json)


@backup.command("list")
@click.argument("app")
@output.env_option
@output.json_option
def list_backups(app: str, environment: str | None, as_json: bool) -> None:
    """List an application's backups, newest first."""
    tell(Session(SERVICE).get(_path(app), environment=environment), as_json=as_json)


@backup.command()
@click.argument("app")
@click.argument("number")
@output.json_option
def show(app: str, number: str, as_json: bool) -> None:
    """Show a backup."""
    output.fields(find(Session(SERVICE), app, number), as_json=as_json)


@backup.command()
@click.argument("app")
@click.argument("number")
@wait_option
@output.json_option
def verify(app: str, number: str, wait: bool, as_json: bool) -> int:
    """Restore a backup into a throw-away container of the same image, and run the service's check there."""
    return tell([ask(Session(SERVICE), app, number, "verify", wait=wait, quiet=as_json)], as_json=as_json)


@backup.command()
@click.argument("app")
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@wait_option
@output.json_option
def restore(app: str, number: str, yes: bool, wait: bool, as_json: bool) -> int:
    """Give a service what a backup holds. What it holds now and the backup does not is lost.

    A dump goes into the running service. For volumes the service stops; what they held is kept beside them.
    """
    session = Session(SERVICE)
    found = find(session, app, number)
    output.confirm(
        f"Restore {found['service']} of {app} ({found['environment']}) as it was at {found['created_at'][:19]} UTC?",
        yes=yes,
    )
    return tell([ask(session, app, number, "restore", wait=wait, quiet=as_json)], as_json=as_json)


@backup.command()
@click.argument("app")
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
def delete(app: str, number: str, yes: bool) -> None:
    """Delete a backup."""
    output.confirm(f"Delete backup {number} of {app}?", yes=yes)
    session, path = Session(SERVICE), _path(app, number)
    session.delete(path)
    waiting.until(lambda: waiting.gone(session, path), f"deleting backup {number}", SECONDS, waiting.CLOSE)


def make(
    session: Session,
    app: str,
    service: str | None = None,
    environment: str | None = None,
    *,
    wait: bool = True,
    quiet: bool,
) -> list[Json]:
    """Have backups made; return them as they are once that is over."""
    made = session.post(_path(app), {"service": service}, environment=environment)
    return _settled(session, app, made, f"back up {app}", quiet=quiet) if wait else made


def ask(session: Session, app: str, number: str, word: str, *, wait: bool = True, quiet: bool) -> Json:
    """Have a backup verified or restored (`word`); return it as it is once that is over."""
    asked: Json = session.post(f"{_path(app, number)}/{word}", {})
    title = f"{word} backup {asked['number']} of {app}"
    return _settled(session, app, [asked], title, quiet=quiet)[0] if wait else asked


def find(session: Session, app: str, number: str) -> Json:
    """Return a backup."""
    found: Json = session.get(_path(app, number))
    return found


def newest(session: Session, app: str, environment: str | None = None) -> list[Json]:
    """Return the newest good backup of each service."""
    found: dict[str, Json] = {}
    for each in session.get(_path(app), environment=environment):
        if each["sha256"] and not each["flaw"] and each["status"] in ("AVAILABLE", "ERROR"):
            found.setdefault(each["service"], each)
    return list(found.values())


def tell(found: list[Json], *, as_json: bool) -> int:
    """Print backups; return the exit code: 1 where one has failed."""
    rows = found if as_json else [_row(each) for each in found]
    output.show(COLUMNS, rows, as_json=as_json, empty="no backups yet; 'stackyard backup create' makes one")
    return 1 if any(each["status"] == "ERROR" for each in found) else 0


def _path(app: str, number: str = "") -> str:
    path = f"/apps/{quote(app)}/backups"
    return f"{path}/{quote(number)}" if number else path


def _settled(session: Session, app: str, asked: list[Json], title: str, *, quiet: bool) -> list[Json]:
    """Wait until what was asked of backups is done; return them as they are then."""
    paths = [_path(app, each["uuid"]) for each in asked]
    with output.Progress(quiet=quiet).step(title) as detail:
        return waiting.until(lambda: _looked(session, paths, detail), title, SECONDS, waiting.CLOSE)


def _looked(session: Session, paths: list[str], detail: Callable[[str], None]) -> list[Json] | None:
    found: list[Json] = [session.get(path) for path in paths]
    busy = [each for each in found if each["status"] in BUSY]
    if busy:
        # By powers of two: a log file gets a few lines of a long one.
        detail(", ".join(f"{each['service']}, {_size(1 << each['moved'].bit_length() >> 1)}" for each in busy))
    return None if busy else found


def _row(found: Json) -> Json:
    reason = (found["status_reason"] or "").partition("\n")[0]
    verified = "flawed" if found["flaw"] else (found["verified_at"] or "")[:19]
    size = _size(found["size"]) if found["size"] is not None else ""
    return {**found, "size": size, "created_at": found["created_at"][:19], "verified_at": verified, "reason": reason}


def _size(count: float) -> str:
    for unit in UNITS:
        if count < 1024 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
