# SPDX-License-Identifier: Apache-2.0
"""`stackyard show APP`: one application in one environment, on half a page. Talks HTTP only."""

from __future__ import annotations

from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote

Json = dict[str, Any]


@click.command()
@click.argument("app")
@output.env_option
@output.json_option
def show(app: str, environment: str | None, as_json: bool) -> None:
    """Show an application: what serves where, at which scale, and what it is built by."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}", environment=environment)
    output.fields(found if as_json else _row(found), as_json=as_json)


def _row(found: Json) -> Json:
    scale = ", ".join(f"{name}={count['target']}" for name, count in sorted((found.get("scale_config") or {}).items()))
    row = {
        "name": found["name"],
        "description": found.get("description"),
        "environment": found.get("environment"),
        "status": found["status"],
        "reason": found.get("status_reason"),
        "release": found.get("release") or None,
        "url": found.get("app_url"),
        **{f"url {name}": url for name, url in (found.get("urls") or {}).items() if url != found.get("app_url")},
        "scale": scale,
        "groups": ", ".join(f"{name} {state}" for name, state in sorted((found.get("groups") or {}).items())),
        "buildpacks": ", ".join(found.get("buildpacks") or ()) or "none (as the source says)",
        "cluster": found.get("cluster_id"),
        "created": found.get("created_at"),
    }
    return {key: value for key, value in row.items() if value not in (None, "")}
