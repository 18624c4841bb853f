# SPDX-License-Identifier: Apache-2.0
"""`stackyard logs`: what all replicas of an application say, in order of time.

The platform sends one JSON document a line; on a terminal each replica has a colour of its own.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.model import errors

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")
CATCH_UP_LINES = 1000

Line = dict[str, Any]


@click.command()
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they are written.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@click.option("--tail", type=click.IntRange(min=0), help="Only this many of the newest lines.")
@click.option("--service", help="Only this service.")
@output.json_option
def logs(app: str, follow: bool, timestamps: bool, tail: int | None, service: str | None, as_json: bool) -> None:
    """Show an application's logs in order of time."""
    session = Session(SERVICE)
    show = _as_json if as_json else _printer(timestamps=timestamps, coloured=sys.stdout.isatty())
    read = _follow if follow else _read
    for line in read(session, app, tail, service):
        click.echo(show(line))


def _read(session: Session, app: str, tail: int | None, service: str | None, **query: Any) -> Iterator[Line]:
    pending = b""
    path = f"/apps/{quote(app)}/logs"
    for piece in session.stream(path, timestamps=1, tail=tail, service=service, **query):
        *lines, pending = (pending + piece).split(b"\n")
        yield from (json.loads(line) for line in lines if line)
    if pending.strip():
        yield json.loads(pending)


def _follow(session: Session, app: str, tail: int | None, service: str | None) -> Iterator[Line]:
    """Yield lines for ever; after a broken connection go on behind the last line shown."""
    last, shown, broken = "", "", 0.0
    session.get(f"/apps/{quote(app)}")  # what does not answer at first is an error, not an interruption
    while True:
        began = time.monotonic()
        try:
            for line in _read(session, app, CATCH_UP_LINES if shown else tail, service, follow=1):
                last = max(last, line["at"])
                if line["at"] > shown:
                    yield line
            return
        except errors.Unavailable:
            shown, now = last, time.monotonic()
            broken = now if not broken or now - began > waiting.LONGEST else broken
            if now - broken > waiting.SILENCE_SECONDS:
                raise
            time.sleep(waiting.LONGEST)


def _printer(*, timestamps: bool, coloured: bool) -> Any:
    """Return a function from a line to its text; the prefix's width grows with the names seen."""
    width = 0

    def text(line: Line) -> str:
        nonlocal width
        name = replica_name(line)
        width = max(width, len(name))
        prefix = f"{name:<{width}} |"
        if coloured:
            prefix = click.style(prefix, fg=COLOURS[zlib.crc32(name.encode()) % len(COLOURS)])
        time_of = f"{line['at']} " if timestamps else ""
        return f"{prefix} {time_of}{line['text']}"

    return text


def replica_name(line: Line) -> str:
    """Return `service.replica`, once, whichever way the platform names replicas."""
    service, replica = str(line["service"]), str(line["replica"])
    return replica if replica.startswith(f"{service}.") else f"{service}.{replica}"


def _as_json(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False)
