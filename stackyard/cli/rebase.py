# SPDX-License-Identifier: Apache-2.0
"""`stackyard rebase`: applications moved to the newest of their stacks, without a build.

Talks HTTP only. All are asked for first and then waited for, so that many take hardly longer than one.
"""

from __future__ import annotations

from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.cli.workflows import ENDED
from stackyard.model import errors

WAIT_SECONDS = 1800.0
NEWEST = "on the newest of its stacks already"
COLUMNS = ("app", "release", "status", "reason")

Json = dict[str, Any]


@click.command()
@click.argument("apps", nargs=-1, metavar="[APP...]")
@click.option("--all", "everything", is_flag=True, help="Rebase every application of the project that has a release.")
@click.option("--env", "environment", default="production", show_default=True, help="The environment to rebase.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the new releases serve.")
@output.json_option
def rebase(apps: tuple[str, ...], environment: str, *, everything: bool, wait: bool, as_json: bool) -> None:
    """Move applications to the newest of their language stacks, as 'stackyard up' brought it.

    No build and no node takes part: the layers below the application are exchanged in the registry, and the result is
    a release like any other.
    """
    if everything == bool(apps):
        raise click.UsageError("name applications, or write --all")
    session = Session(SERVICE)
    names = list(apps) or [each["name"] for each in session.get("/apps")]
    progress = output.Progress(quiet=as_json)
    with progress.step(f"rebase {', '.join(names[:5])}{' …' if len(names) > 5 else ''}") as detail:
        begun = {name: _begin(session, name, environment, tolerant=everything) for name in names}
        shown = []
        for name, workflow in begun.items():
            detail(name)
            shown.append(_row(name, _ended(session, name, workflow) if wait else workflow))
    output.show(COLUMNS, shown, as_json=as_json, empty="there are no applications")
    if shown and all(row["reason"] == NEWEST for row in shown):
        progress.note("nothing to rebase: everything is on the newest of its stacks", "✓")
    if not everything and any(row["status"] == "ERROR" for row in shown):
        raise errors.StackyardError("not rebased: " + "; ".join(row["reason"] for row in shown if row["reason"]))


def _begin(session: Session, name: str, environment: str, *, tolerant: bool) -> Json:
    document = {"actions": ["rebase"], "environment": environment}
    try:
        begun: Json = session.post(f"/apps/{quote(name)}/workflows", document)
    except (errors.Conflict, errors.NotFound) as error:
        if not tolerant:
            raise
        return {"status": "SKIPPED", "status_reason": str(error)}
    return begun


def _ended(session: Session, name: str, workflow: Json) -> Json:
    """Return the workflow once it has ended."""
    if "uuid" not in workflow:
        return workflow
    path = f"/apps/{quote(name)}/workflows/{workflow['uuid']}"

    def look() -> Json | None:
        found: Json = session.get(path)
        return found if found["status"] in ENDED else None

    return waiting.until(look, f"rebase of {name}", WAIT_SECONDS)


def _row(name: str, workflow: Json) -> Json:
    reason = workflow.get("status_reason") if workflow["status"] in ("ERROR", "SKIPPED") else ""
    if workflow.get("unchanged"):
        reason = NEWEST
    return {
        "app": name,
        "release": workflow.get("release"),
        "status": workflow["status"],
        "reason": reason or "",
    }
