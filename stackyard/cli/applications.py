# SPDX-License-Identifier: Apache-2.0
"""What there is of applications: `stackyard apps`, `releases` and `destroy`.

The command table finds every application command here; those that change or follow have modules of their own.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.deployments import config, rollback, scale
from stackyard.cli.logs import logs
from stackyard.cli.push import SERVICE, push
from stackyard.cli.session import Session, quote
from stackyard.model import errors

__all__ = ["apps", "config", "destroy", "logs", "push", "releases", "rollback", "scale"]

Json = dict[str, Any]

DESTROY_SECONDS = 300.0
APP_COLUMNS = ("name", "status", "release", "url", "reason")
RELEASE_COLUMNS = ("number", "environment", "current", "revision", "summary", "created_at")


@click.command()
@output.json_option
def apps(as_json: bool) -> None:
    """List applications."""
    found = Session(SERVICE).get("/apps")
    rows = (
        found if as_json else [{**app, "url": app.get("app_url"), "reason": app.get("status_reason")} for app in found]
    )
    output.show(APP_COLUMNS, rows, as_json=as_json, empty="no applications yet; 'stackyard push' makes one")


@click.command()
@click.argument("app")
@click.option("--env", "environment", metavar="NAME", help="Only those made for this environment.")
@output.json_option
def releases(app: str, environment: str | None, as_json: bool) -> None:
    """List an application's releases, newest first."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}/releases", environment=environment)
    output.show(RELEASE_COLUMNS, found, as_json=as_json, empty="no releases yet")


@click.command()
@click.argument("app")
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until nothing is left.")
@output.json_option
def destroy(app: str, yes: bool, wait: bool, as_json: bool) -> None:
    """Delete an application and its data."""
    session = Session(SERVICE)
    known = session.get(f"/apps/{quote(app)}")
    output.confirm(f"Delete {app} with its releases and volumes?", yes=yes or not sys.stdin.isatty())
    path = f"/apps/{known['uuid']}"
    session.delete(path)
    if wait:
        with output.Progress(quiet=as_json).step(f"destroy {app}"):
            waiting.until(lambda: _gone(session, path), f"destroying {app}", DESTROY_SECONDS)
    if as_json:
        output.print_json({"app": known["name"], "uuid": known["uuid"], "deleted": wait})


def _gone(session: Session, path: str) -> bool | None:
    """Return True when the application is gone; raises with the reason when deleting failed."""
    try:
        app = session.get(path)
    except errors.NotFound:
        return True
    if app["status"] == "ERROR":
        raise errors.StackyardError(f"{app['name']} can't be deleted: {app.get('status_reason')}; try again")
    return None
