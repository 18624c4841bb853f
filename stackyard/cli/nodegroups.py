# SPDX-License-Identifier: Apache-2.0
"""`stackyard cluster nodegroup`: groups of alike workers within a cluster, through the container-infrastructure API."""

from __future__ import annotations

import sys
from typing import Any

import click

from stackyard.cli import infra, output, pictures
from stackyard.cli.following import Operation
from stackyard.cli.infra import Json
from stackyard.cli.session import quote

COLUMNS = ("name", "role", "nodes", "ready", "status", "flavor", "image", "bounds", "uuid")

wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
image_option = click.option("--image", help="Image of the nodes; 'stackyard cluster offers' lists them.")
volume_option = click.option("--volume-size", type=click.IntRange(min=1), help="GB of each node's Docker volume.")
flavor_option = click.option("--flavor", help="Size of a node that only works; 'stackyard cluster offers' lists them.")


@click.group()
def nodegroup() -> None:
    """List, add and remove node groups of a cluster."""


@nodegroup.command("list")
@click.argument("cluster")
@output.json_option
def list_groups(cluster: str, as_json: bool) -> None:
    """List a cluster's node groups."""
    api = infra.session()
    known = infra.cluster(api, cluster)
    found = [
        {**api.get(f"/clusters/{known['uuid']}/nodegroups/{each['uuid']}"), **each} for each in infra.groups(api, known)
    ]
    output.show(COLUMNS, found if as_json else [_row(group) for group in found], as_json=as_json)


@nodegroup.command()
@click.argument("cluster")
@click.argument("name")
@click.option("--nodes", type=click.IntRange(min=0), default=1, show_default=True, help="Nodes in the group.")
@click.option("--min", "least", type=click.IntRange(min=0), help="Fewest nodes that a resize may leave.")
@click.option("--max", "most", type=click.IntRange(min=1), help="Most nodes that a resize may ask for.")
@click.option("--node-label", multiple=True, callback=infra.pairs, metavar="K=V", help="Label of the nodes (again).")
@click.option("--role", help="The group's role, a word of your own. Default: worker.")
@flavor_option
@image_option
@volume_option
@wait_option
@output.json_option
def add(cluster: str, name: str, wait: bool, as_json: bool, **options: Any) -> None:
    """Add a group of nodes to a cluster."""
    api = infra.session()
    known = infra.cluster(api, cluster)
    wanted = infra.given(
        node_count=options["nodes"],
        min_node_count=options["least"],
        max_node_count=options["most"],
        node_labels=options["node_label"],
        role=options["role"],
        flavor_id=options["flavor"],
        image_id=options["image"],
        docker_volume_size=options["volume_size"],
    )
    api.post(f"/clusters/{known['uuid']}/nodegroups", {"name": name, **wanted})
    operation = Operation(api, known, f"add node group {name} to cluster {known['name']}", quiet=as_json)
    finish(operation, wait=wait, as_json=as_json)


@nodegroup.command()
@click.argument("cluster")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@wait_option
@output.json_option
def remove(cluster: str, name: str, yes: bool, wait: bool, as_json: bool) -> None:
    """Remove a group with its nodes; what runs on them moves to others."""
    api = infra.session()
    known = infra.cluster(api, cluster)
    output.confirm(f"Remove node group {name} and its nodes?", yes=yes or not sys.stdin.isatty())
    api.delete(f"/clusters/{known['uuid']}/nodegroups/{quote(name)}")
    operation = Operation(api, known, f"remove node group {name} of cluster {known['name']}", quiet=as_json)
    finish(operation, wait=wait, as_json=as_json)


def finish(operation: Operation, *, wait: bool, as_json: bool) -> None:
    """Follow an operation to its end where asked to, then print the cluster."""
    print_cluster(infra.whole(operation.api, operation.settle() if wait else operation.now()), as_json=as_json)


def print_cluster(found: Json, *, as_json: bool) -> None:
    """Print a whole cluster: its picture, or JSON."""
    if as_json:
        output.print_json(found)
    else:
        pictures.show(pictures.tree(found, found["nodegroups"]))


def _row(group: Json) -> Json:
    most = group.get("max_node_count")
    return {
        **group,
        "nodes": group["node_count"],
        "ready": sum(node.get("state") == "ready" for node in group["nodes"]),
        "flavor": group.get("flavor_id"),
        "image": group.get("image_id"),
        "bounds": f"{group.get('min_node_count') or 0}–{'' if most is None else most}",
    }
