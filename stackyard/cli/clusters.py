# SPDX-License-Identifier: Apache-2.0
"""`stackyard cluster`: make, list, show, resize and delete clusters through the container-infrastructure API.

The same API that `openstack coe` talks to; knows nothing of applications.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.session import Session, quote
from stackyard.model import errors

SERVICE = "container-infra"
VERSION = {"OpenStack-API-Version": "container-infra latest"}
BUILT_IN: dict[str, dict[str, Any]] = {
    "swarm": {"name": "swarm", "coe": "swarm", "image_id": "stackyard-node"},
}
COLUMNS = ("name", "status", "managers", "nodes", "health", "uuid")
WAIT_SECONDS = 3600.0

Json = dict[str, Any]

wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")


@click.group()
def cluster() -> None:
    """Make, list and delete clusters."""


def _session() -> Session:
    return Session(SERVICE, VERSION)


@cluster.command()
@click.argument("name")
@click.option("--template", default="swarm", show_default=True, help="Cluster template; `swarm` is made when absent.")
@click.option("--nodes", type=click.IntRange(min=0), default=2, show_default=True, help="Nodes that only work.")
@click.option("--managers", type=click.IntRange(min=1), default=1, show_default=True, help="Nodes that manage (odd).")
@wait_option
@output.json_option
def create(name: str, template: str, nodes: int, managers: int, wait: bool, as_json: bool) -> None:
    """Make a cluster."""
    session = _session()
    wanted = {"name": name, "cluster_template_id": _template(session, template)}
    counts = {"node_count": nodes, "master_count": managers, "master_lb_enabled": managers > 1}
    made = session.post("/clusters", {**wanted, **counts})
    found = _wait(session, made["uuid"], f"cluster {name}", quiet=as_json) if wait else _get(session, made["uuid"])
    _show(found, as_json=as_json)


def _template(session: Session, name: str) -> str:
    """Return the template's id, made now when it is a built-in one that the project lacks."""
    try:
        return str(session.get(f"/clustertemplates/{quote(name)}")["uuid"])
    except errors.NotFound:
        if name not in BUILT_IN:
            raise errors.NotFound(f"there is no cluster template {name!r}; built in: {', '.join(BUILT_IN)}") from None
        return str(session.post("/clustertemplates", BUILT_IN[name])["uuid"])


@cluster.command("list")
@output.json_option
def list_clusters(as_json: bool) -> None:
    """List clusters."""
    found = _session().get("/clusters")["clusters"]
    rows = found if as_json else [_row(each) for each in found]
    output.show(COLUMNS, rows, as_json=as_json, empty="no clusters yet; 'stackyard cluster create NAME' makes one")


@cluster.command()
@click.argument("name")
@output.json_option
def show(name: str, as_json: bool) -> None:
    """Show one cluster."""
    _show(_get(_session(), name), as_json=as_json)


@cluster.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@wait_option
@output.json_option
def delete(name: str, yes: bool, wait: bool, as_json: bool) -> None:
    """Delete a cluster and what runs on it."""
    session = _session()
    known = _get(session, name)
    output.confirm(f"Delete cluster {name} and what runs on it?", yes=yes or not sys.stdin.isatty())
    session.delete(f"/clusters/{known['uuid']}")
    if wait:
        with output.Progress(quiet=as_json).step(f"delete cluster {name}"):
            waiting.until(lambda: _gone(session, known["uuid"]), f"deleting {name}", WAIT_SECONDS)
    if as_json:
        output.print_json({"name": known["name"], "uuid": known["uuid"], "deleted": wait})


@cluster.command()
@click.argument("name")
@click.option("--nodes", type=click.IntRange(min=0), required=True, help="Nodes that only work.")
@wait_option
@output.json_option
def resize(name: str, nodes: int, wait: bool, as_json: bool) -> None:
    """Change a cluster's number of nodes."""
    session = _session()
    known = _get(session, name)
    session.post(f"/clusters/{known['uuid']}/actions/resize", {"node_count": nodes})
    title = f"resize cluster {name} to {nodes} nodes"
    found = _wait(session, known["uuid"], title, quiet=as_json) if wait else _get(session, known["uuid"])
    _show(found, as_json=as_json)


def _get(session: Session, name: str) -> Json:
    found: Json = session.get(f"/clusters/{quote(name)}")
    return found


def _wait(session: Session, uuid: str, title: str, *, quiet: bool) -> Json:
    with output.Progress(quiet=quiet).step(title) as detail:
        return waiting.until(lambda: _settled(session, uuid, detail), title, WAIT_SECONDS)


def _settled(session: Session, uuid: str, detail: Callable[[str], None]) -> Json | None:
    """Return the cluster once nothing is in progress; raises with the reason when that failed."""
    found = _get(session, uuid)
    status = found["status"]
    if status.endswith("_FAILED"):
        raise errors.StackyardError(f"{found['name']}: {status}: {found.get('status_reason') or 'no reason given'}")
    detail(found.get("status_reason") or status)
    return found if status.endswith("_COMPLETE") else None


def _gone(session: Session, uuid: str) -> bool | None:
    try:
        found = _get(session, uuid)
    except errors.NotFound:
        return True
    if found["status"] == "DELETE_FAILED":
        raise errors.StackyardError(f"{found['name']} can't be deleted: {found.get('status_reason')}; try again")
    return None


def _row(found: Json) -> Json:
    return {
        **found,
        "managers": found.get("master_count"),
        "nodes": found.get("node_count"),
        "health": found.get("health_status"),
    }


def _show(found: Json, *, as_json: bool) -> None:
    if as_json:
        output.fields(found, as_json=True)
        return
    row = _row(found)
    shown = ("name", "uuid", "status", "status_reason", "managers", "nodes", "api_address", "coe_version", "health")
    output.fields({key: row[key] for key in shown if row.get(key) not in (None, "")}, as_json=False)
