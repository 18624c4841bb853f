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
from stackyard.model.logs import EXAMPLE

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")

Line = dict[str, Any]
Query = dict[str, Any]


@click.command()
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines as they are written.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time.")
@click.option("--tail", type=click.IntRange(min=0), help="Only this many of the newest lines.")
@click.option("--process", "--service", "service", multiple=True, help="Only this process (service); may be repeated.")
@click.option("--replica", help="Only this replica: web.2, or the whole name that the lines have.")
@click.option("--request", metavar="REQ-ID", help="Only what OpenStack services say of this request (req-...).")
@click.option("--since", metavar="TIME", help=f"Only lines from then on: {EXAMPLE}.")
@click.option("--until", metavar="TIME", help="Only lines before then; with -f, end then.")
@click.option("--cursor", help="Only what comes behind the line that had this cursor (see --json).")
@click.option("--env", "environment", metavar="NAME", help="Of this environment instead of production.")
@output.json_option
def logs(app: str, follow: bool, timestamps: bool, as_json: bool, service: tuple[str, ...], **query: Any) -> None:
    """Show an application's logs in order of time, also those of containers that are gone."""
    session = Session(SERVICE)
    query["service"] = ",".join(service) or None
    show = _as_json if as_json else _printer(timestamps=timestamps, coloured=sys.stdout.isatty())
    read = _follow if follow else _read
    for line in read(session, app, query):
        click.echo(show(line))


def _read(session: Session, app: str, query: Query) -> Iterator[Line]:
    pending = b""
    for piece in session.stream(f"/apps/{quote(app)}/logs", timestamps=1, **query):
        *lines, pending = (pending + piece).split(b"\n")
        yield from (json.loads(line) for line in lines if line)
    if pending.strip():
        yield json.loads(pending)


def _follow(session: Session, app: str, query: Query) -> Iterator[Line]:
    """Yield lines for ever; after a broken connection go on behind the last line shown."""
    asked, broken = {**query, "follow": 1}, 0.0
    session.get(f"/apps/{quote(app)}")  # what does not answer at first is an error, not an interruption
    while True:
        began = time.monotonic()
        try:
            for line in _read(session, app, asked):
                if line.get("cursor"):
                    asked |= {"cursor": line["cursor"], "tail": None, "since": None}
                yield line
            return
        except errors.Unavailable:
            now = time.monotonic()
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
        # A late line has its place in the stream where it came; its own time tells where it belongs.
        late = click.style(f"late {line['at']} ", dim=True) if line.get("late") else ""
        return f"{prefix} {late or time_of}{line['text']}"

    return text


def replica_name(line: Line) -> str:
    """Return `service.replica`, once, whichever way the platform names replicas."""
    service, replica = str(line["service"]), str(line["replica"])
    return replica if replica.startswith(f"{service}.") else f"{service}.{replica}"


def _as_json(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False)
