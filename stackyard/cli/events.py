# SPDX-License-Identifier: Apache-2.0
"""`stackyard events`: the history of an application, once or as it happens. Talks HTTP only."""

from __future__ import annotations

import datetime
import sys
import time
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.model import errors
from stackyard.model.logs import EXAMPLE

PAUSE_SECONDS = 1.0
COLOURS = {
    "failed": "red",
    "restarting": "red",
    "replaced": "yellow",
    "steady": "green",
    "serving": "green",
    "reached": "green",
    "pushed": "cyan",
    "asked": "cyan",
    "released": "cyan",
    "delete": "yellow",
    "gone": "yellow",
}

Json = dict[str, Any]


@click.command()
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens; Ctrl-C ends it.")
@click.option("--since", metavar="TIME", help=f"Only what happened from then on: {EXAMPLE}.")
@click.option("--tail", type=click.IntRange(min=0), help="Only this many of the newest.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of this machine's zone.")
@click.option("--env", "environment", metavar="NAME", help="Only of this environment.")
@output.json_option
def events(app: str, follow: bool, utc: bool, as_json: bool, **query: Any) -> None:
    """Show an application's history, oldest first: who asked for what, and what came of it."""
    session, path = Session(SERVICE), f"/apps/{quote(app)}/events"
    found = session.get(path, **query)
    if as_json and not follow:
        output.print_json(found)
        return
    if not found and not follow:
        click.echo("nothing has happened yet" if not query.get("since") else "nothing has happened since")
    _print(found, utc=utc, as_json=as_json)
    if follow:
        _follow(session, path, query["environment"], found[-1]["id"] if found else _newest(session, path), utc, as_json)


def _newest(session: Session, path: str) -> int:
    """Return the number of the last event that there is."""
    last = session.get(path, tail=1)
    return int(last[-1]["id"]) if last else 0


def _follow(session: Session, path: str, environment: str | None, after: int, utc: bool, as_json: bool) -> None:
    """Print what happens until the application is gone; a platform that is away for a while is borne."""
    heard = time.monotonic()
    while True:
        time.sleep(PAUSE_SECONDS)
        try:
            found = session.get(path, after=after, environment=environment)
            heard = time.monotonic()
        except errors.NotFound:
            return
        except errors.Unavailable:
            if time.monotonic() - heard > waiting.SILENCE_SECONDS:
                raise
            continue
        _print(found, utc=utc, as_json=as_json)
        after = found[-1]["id"] if found else after


def _print(found: list[Json], *, utc: bool, as_json: bool) -> None:
    for event in found:
        if as_json:
            output.print_line(event)
        else:
            click.echo(line(event, utc=utc))
    sys.stdout.flush()


def line(event: Json, *, utc: bool = False) -> str:
    """Return an event in one line, or more where its message has more; coloured on terminals only."""
    kind = click.style(f"{event['kind']:<10}", fg=COLOURS.get(event["kind"]))
    first, *more = str(event["message"]).split("\n")
    return "\n".join([f"{_time(event['at'], utc)}  {kind}  {first}", *(f"    {each}" for each in more)])


def _time(text: str, utc: bool) -> str:
    at = datetime.datetime.fromisoformat(text)
    return (at.astimezone(datetime.UTC) if utc else at.astimezone()).isoformat(timespec="seconds")
