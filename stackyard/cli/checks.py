# SPDX-License-Identifier: Apache-2.0
"""`stackyard check`: runs an application's own checks and tells how they ended. Talks HTTP only."""

from __future__ import annotations

from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote

Json = dict[str, Any]

COLUMNS = ("service", "status", "seconds", "reason")
SECONDS = 1800.0
ENDED = ("done", "failed")


@click.command()
@click.argument("app")
@output.env_option
@output.json_option
def check(app: str, environment: str | None, as_json: bool) -> int:
    """Run an application's checks (services of stage check); the exit code is 1 when one fails."""
    session = Session(SERVICE)
    begun = session.post(f"/apps/{quote(app)}/checks", {}, environment=environment)
    paths = [f"/apps/{quote(app)}/jobs/{job['uuid']}" for job in begun]
    with output.Progress(quiet=as_json).step(f"check {app}") as detail:
        detail(", ".join(job["service"] for job in begun))
        done = waiting.until(lambda: ended(session, paths), f"checking {app}", SECONDS)
    output.show(COLUMNS, done if as_json else [_row(job) for job in done], as_json=as_json)
    return 0 if all(job["status"] == "done" for job in done) else 1


def ended(session: Session, paths: list[str]) -> list[Json] | None:
    """Return the jobs at these paths once all have ended."""
    jobs: list[Json] = [session.get(path) for path in paths]
    return jobs if all(job["status"] in ENDED for job in jobs) else None


def _row(job: Json) -> Json:
    seconds = f"{job['seconds']:.1f}" if job["seconds"] is not None else ""
    return {**job, "seconds": seconds, "reason": (job["status_reason"] or "") if job["status"] == "failed" else ""}
