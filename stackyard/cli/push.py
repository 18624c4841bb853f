# SPDX-License-Identifier: Apache-2.0
"""`stackyard push`: from a folder or a git repository to a served release, told while it happens.

The push itself runs on the platform: this command only hands over the source and follows.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.session import Session, quote
from stackyard.cli.sources import begin, default_name, prepare
from stackyard.cli.workflows import Follower, tell_phase
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION

SERVICE = "application_deployment"

Json = dict[str, Any]


@click.command()
@click.argument("source", default=".", metavar="[DIR|GIT_URL]")
@click.option("--app", "name", help="Application to push to; made when absent. Default: the folder's name.")
@click.option("--revision", default="", help="Branch, tag or commit of GIT_URL; for a folder, the name to record.")
@click.option("--cluster", help="Cluster for an application made now. Default: the project's only one.")
@output.env_option
@click.option(
    "--buildpack",
    "buildpacks",
    multiple=True,
    metavar="URL[#REVISION]",
    help="Build by this buildpack from now on, whatever the source says; several build in this order.",
)
@click.option("--no-buildpacks", is_flag=True, help="Build as the source says again.")
@click.option("--detach", is_flag=True, help="Hand the source over and return at once.")
@click.option("--force", is_flag=True, help="Build even where nothing has changed since the release that serves.")
@output.json_option
def push(source: str, name: str | None, revision: str, cluster: str | None, *, as_json: bool, **more: Any) -> None:
    """Build a folder or git repository and deploy it.

    The push goes on when this command is interrupted.
    """
    began = time.monotonic()
    name = name or default_name(source)
    progress = output.Progress(quiet=as_json)
    session = Session(SERVICE)
    prepared = dataclasses.replace(
        prepare(source, revision, force=more["force"]),
        environment=more.get("environment") or PRODUCTION,
        buildpacks=_chosen(more["buildpacks"], none=more["no_buildpacks"]),
    )
    app, is_new = find_or_create(session, name, cluster)
    workflow = begin(session, app, prepared, is_new=is_new)
    if prepared.archive is not None:
        tell_phase(progress, "receive", time.monotonic() - began)
    if workflow.get("unchanged"):
        _tell_unchanged(progress, workflow)
        _tell_end(session, app, workflow, time.monotonic() - began, as_json=as_json)
        return
    if more["detach"]:
        _tell_detached(name, workflow, as_json=as_json)
        return
    try:
        ended = Follower(session, name, workflow, progress).run()
    except KeyboardInterrupt:
        click.echo(f"\nthe push goes on without you; 'stackyard builds {name}' tells how it ends", err=True)
        raise
    _tell_end(session, app, ended, time.monotonic() - began, as_json=as_json)


def _chosen(buildpacks: tuple[str, ...], *, none: bool) -> tuple[str, ...] | None:
    """Return what the application is to be built by from now on; None where nothing is said."""
    if buildpacks and none:
        raise click.UsageError("give --buildpack or --no-buildpacks, not both")
    return buildpacks if buildpacks or none else None


def find_or_create(session: Session, name: str, cluster: str | None = None) -> tuple[Json, bool]:
    """Return the application and whether it was made now (on `cluster`, where given)."""
    try:
        return session.get(f"/apps/{quote(name)}"), False
    except errors.NotFound:
        return session.post("/apps", {"name": name, "cluster": cluster} if cluster else {"name": name}), True


def _tell_detached(name: str, workflow: Json, *, as_json: bool) -> None:
    if as_json:
        output.print_json(workflow)
        return
    click.echo(f"push {workflow['wf_id']} of {name} is on its way; 'stackyard builds {name}' tells how it ends")


def _tell_unchanged(progress: output.Progress, workflow: Json) -> None:
    progress.note(f"nothing changed; release {workflow['release']} serves (--force builds all the same)", "✓")


def _tell_end(session: Session, before: Json, ended: Json, seconds: float, *, as_json: bool) -> None:
    app = session.get(f"/apps/{before['uuid']}", environment=ended.get("environment"))
    result = {
        "app": app["name"],
        "environment": app.get("environment"),
        "release": ended["release"],
        "revision": ended.get("revision") or "",
        "images": ended.get("images") or {},
        "unchanged": bool(ended.get("unchanged")),
        "seconds": round(seconds, 2),
        "url": app.get("app_url"),
        "workflow": ended["uuid"],
    }
    if as_json:
        output.print_json(result)
        return
    sys.stderr.flush()
    click.echo(f"Release: {result['release']}\nRevision: {result['revision']}")
    for name, image in sorted(result["images"].items()):
        click.echo(f"Image: {name} {image.partition('@')[2] or image}")
    click.echo(f"Seconds: {seconds:.1f}")
    click.echo(f"URL: {result['url'] or 'none (no service publishes a port)'}")
