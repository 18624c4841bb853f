# SPDX-License-Identifier: Apache-2.0
"""`stackyard maintenance`: a page instead of an application, until it is taken off. Talks HTTP only."""

from __future__ import annotations

import pathlib
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote, with_query
from stackyard.model import errors

SERVE_SECONDS = 30.0
Json = dict[str, Any]


@click.command()
@click.argument("app")
@click.argument("state", required=False, type=click.Choice(["on", "off"]))
@click.option("--message", help="What is told, in one line.")
@click.option(
    "--page", type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path), help="HTML file for browsers."
)
@click.option("--env", "environment", help="Environment. Default: production.")
@output.json_option
def maintenance(
    app: str, state: str | None, message: str | None, page: pathlib.Path | None, environment: str | None, as_json: bool
) -> None:
    """Answer for an application with 503 and a page, over pushes and restarts, until `off`.

    Without on or off, tell how it is. The application goes on running.
    """
    if (message or page) and state != "on":
        raise click.UsageError("--message and --page go with: maintenance APP on")
    session, path = Session(SERVICE), f"/apps/{quote(app)}/maintenance"
    query = {"environment": environment}
    if state:
        wanted = {"enabled": state == "on", "text": message, "page": _page(page) if page else None}
        session.put(with_query(path, query), wanted)
        with output.Progress(quiet=as_json).step(f"maintenance of {app} {state}"):
            waiting.until(lambda: _served(session, path, query), f"maintenance of {app}", SERVE_SECONDS, waiting.CLOSE)
    found = session.get(path, **query)
    if as_json:
        output.print_json(found)
    else:
        click.echo(f"{app} is {'in maintenance' if found['enabled'] else 'not in maintenance'}")


def _page(path: pathlib.Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise errors.BadInput(f"{path} can't be read as UTF-8 text") from None


def _served(session: Session, path: str, query: Json) -> Json | None:
    found: Json = session.get(path, **query)
    return found if found["status"] == "served" else None
