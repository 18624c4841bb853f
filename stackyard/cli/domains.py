# SPDX-License-Identifier: Apache-2.0
"""`stackyard domains`: an application's own host names, and the certificates that they are served with.

Talks HTTP only.
"""

from __future__ import annotations

import pathlib
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.model import errors

COLUMNS = ("host", "service", "environment", "certificate", "expires_at", "https_only", "status", "url")
SERVE_SECONDS = 30.0
USAGE = "write: domains APP, or domains APP add HOST, or domains APP remove HOST"

Json = dict[str, Any]
FILE = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)


@click.command()
@click.argument("app")
@click.argument("words", nargs=-1, metavar="[add HOST | remove HOST]")
@click.option("--service", help="Service that the name leads to. Default: the one that has the application's own name.")
@click.option("--env", "environment", help="Environment that the name leads to. Default: production.")
@click.option("--cert", type=FILE, help="Certificate (PEM) with its chain, the host's own first.")
@click.option("--key", type=FILE, help="Its private key (PEM, without a password).")
@click.option("--platform-cert", is_flag=True, help="Go back to a certificate of the platform's CA.")
@click.option("--https-only/--no-https-only", default=None, help="Send plain HTTP to HTTPS.")
@output.json_option
def domains(app: str, words: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """List, add and remove an application's own host names.

    `add` also changes a name that is there. Let DNS lead the name to the platform's router.
    """
    session = Session(SERVICE)
    given = any(value not in (None, False) for name, value in options.items() if name != "https_only")
    if not words and not given and options["https_only"] is None:
        found = session.get(f"/apps/{quote(app)}/domains")
        output.show(COLUMNS, found, as_json=as_json, empty="no domains of its own")
    elif len(words) == 2 and words[0] == "add":
        _add(session, app, words[1], _wanted(options), as_json=as_json)
    elif len(words) == 2 and words[0] == "remove" and not given:
        _remove(session, app, words[1], as_json=as_json)
    else:
        raise click.UsageError(USAGE)


def _wanted(options: Json) -> Json:
    """Return the request's body; files are read here."""
    if (options["cert"] is None) != (options["key"] is None):
        raise click.UsageError("--cert and --key come together")
    if options["cert"] and options["platform_cert"]:
        raise click.UsageError("--cert and --platform-cert exclude each other")
    wanted = {name: options[name] for name in ("service", "environment", "https_only") if options[name] is not None}
    if options["cert"]:
        wanted |= {"certificate": _text(options["cert"]), "key": _text(options["key"])}
    if options["platform_cert"]:
        wanted["own_certificate"] = False
    return wanted


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise errors.BadInput(f"{path} can't be read as PEM text") from None


def _add(session: Session, app: str, host: str, wanted: Json, *, as_json: bool) -> None:
    made = session.put(f"/apps/{quote(app)}/domains/{quote(host)}", wanted)
    with output.Progress(quiet=as_json).step(f"{made['host']} served"):
        shown = waiting.until(
            lambda: _served(session, app, made["host"]), f"{made['host']} served", SERVE_SECONDS, waiting.CLOSE
        )
    if as_json:
        output.print_json(shown)
    else:
        click.echo(f"URL: {shown['url']}")


def _served(session: Session, app: str, host: str) -> Json | None:
    found: list[Json] = session.get(f"/apps/{quote(app)}/domains")
    return next((each for each in found if each["host"] == host and each["status"] == "served"), None)


def _remove(session: Session, app: str, host: str, *, as_json: bool) -> None:
    session.delete(f"/apps/{quote(app)}/domains/{quote(host)}")
    if as_json:
        output.print_json({"host": host, "removed": True})
    else:
        click.echo(f"{host} does not lead to {app} any more")
