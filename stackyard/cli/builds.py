# SPDX-License-Identifier: Apache-2.0
"""Builds: `stackyard builds APP` lists them, `stackyard build logs APP [N]` shows what one wrote."""

from __future__ import annotations

import sys
from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.cli.workflows import ENDED, Text
from stackyard.model import errors

Json = dict[str, Any]

BUILD_COLUMNS = ("number", "status", "step", "release", "revision", "seconds", "created_at", "reason")


@click.command()
@click.argument("app")
@output.json_option
def builds(app: str, as_json: bool) -> None:
    """List an application's builds, newest first."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}/workflows")
    rows = found if as_json else [_row(each) for each in found]
    output.show(BUILD_COLUMNS, rows, as_json=as_json, empty="no builds yet")


def _row(build: Json) -> Json:
    spent = {name: seconds for name, seconds in (build.get("seconds") or {}).items() if name not in PARTS}
    return {
        **build,
        "number": build["wf_id"],
        "seconds": f"{sum(spent.values()):.1f}",
        "reason": build.get("status_reason"),
    }


PARTS = ("stage", "health", "switch")
"""Of the seconds of a build: they are in `deploy` already."""


@click.group()
def build() -> None:
    """Show the output of a build."""


@build.command()
@click.argument("app")
@click.argument("number", required=False, type=click.IntRange(min=1), metavar="[N]")
@click.option("-f", "--follow", is_flag=True, help="Go on until the push has ended.")
@output.json_option
def logs(app: str, number: int | None, follow: bool, as_json: bool) -> None:
    """Show what build N wrote, by default the newest one.

    With --follow the exit code tells how the push ended; with --json each line is an object.
    """
    session = Session(SERVICE)
    path = f"/apps/{quote(app)}/workflows/{number or _newest(session, app)}"
    text = Text(session, path, lambda line: _print(line, as_json=as_json))
    if not follow:
        text.read(follow=False)
        text.finish()
    else:
        ended = text.until_ended()
        if ended["status"] == ENDED[1]:
            raise errors.StackyardError(f"push {ended['wf_id']} failed: {ended.get('status_reason')}")


def _newest(session: Session, app: str) -> int:
    found = session.get(f"/apps/{quote(app)}/workflows")
    if not found:
        raise errors.NotFound(f"{app} has no builds yet; 'stackyard push' begins one")
    return int(found[0]["wf_id"])


def _print(line: str, *, as_json: bool) -> None:
    if as_json:
        output.print_line({"text": line})
    else:
        click.echo(line)
    sys.stdout.flush()
