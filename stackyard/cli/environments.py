# SPDX-License-Identifier: Apache-2.0
"""`stackyard environments` and `promote`: the places where an application runs, and releases on their way through them.

Talks HTTP only.
"""

from __future__ import annotations

from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.deployments import finish, wait_option
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote

COLUMNS = ("name", "status", "release", "url", "reason")
REMOVE_SECONDS = 300.0
USAGE = "write: environments APP, or environments APP add NAME, or environments APP remove NAME"

Json = dict[str, Any]


@click.command()
@click.argument("app")
@click.argument("words", nargs=-1, metavar="[add NAME | remove NAME]")
@click.option("--cluster", help="Cluster for an environment that is added. Default: production's.")
@output.json_option
def environments(app: str, words: tuple[str, ...], cluster: str | None, as_json: bool) -> None:
    """List, add and remove an application's environments.

    Each has its own config, scale, volumes and host name: NAME--APP.PROJECT.DOMAIN.
    """
    session = Session(SERVICE)
    if not words:
        _list(session, app, as_json=as_json)
    elif len(words) == 2 and words[0] == "add":
        _add(session, app, words[1], cluster, as_json=as_json)
    elif len(words) == 2 and words[0] == "remove" and cluster is None:
        _remove(session, app, words[1], as_json=as_json)
    else:
        raise click.UsageError(USAGE)


def _list(session: Session, app: str, *, as_json: bool) -> None:
    found = session.get(f"/apps/{quote(app)}/environments")
    rows = [{**each, "url": each.get("app_url"), "reason": each.get("status_reason")} for each in found]
    output.show(COLUMNS, found if as_json else rows, as_json=as_json, empty="no environments")


def _add(session: Session, app: str, name: str, cluster: str | None, *, as_json: bool) -> None:
    wanted = {"name": name, "cluster": cluster} if cluster else {"name": name}
    made = session.post(f"/apps/{quote(app)}/environments", wanted)
    if as_json:
        output.print_json(made)
    else:
        click.echo(f"environment {name} of {app} is there; next: stackyard push --app {app} --env {name}")


def _remove(session: Session, app: str, name: str, *, as_json: bool) -> None:
    path = f"/apps/{quote(app)}/environments/{quote(name)}"
    session.delete(path)
    with output.Progress(quiet=as_json).step(f"remove {name} of {app}"):
        waiting.until(lambda: waiting.gone(session, path), f"removing {name} of {app}", REMOVE_SECONDS)
    if as_json:
        output.print_json({"app": app, "environment": name, "deleted": True})


@click.command()
@click.argument("app")
@click.option("--to", "to", required=True, metavar="ENV", help="Environment that shall serve it.")
@click.option("--from", "source", metavar="ENV", help="Environment whose release it is. Default: the one before.")
@wait_option
@output.json_option
def promote(app: str, to: str, source: str | None, wait: bool, as_json: bool) -> None:
    """Serve the release of one environment in another: the same images, with the other's own config.

    The environment before is the one that was added before; production comes behind all others.
    """
    session = Session(SERVICE)
    wanted = {"actions": ["deploy"], "environment": to, "from": source or ""}
    answer = session.post(f"/apps/{quote(app)}/workflows", wanted)
    title = f"release {answer['release']} of {app}, which serves in {to}"
    finish(session, app, answer, title, wait=wait, as_json=as_json)
