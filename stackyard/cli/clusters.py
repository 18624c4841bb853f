# SPDX-License-Identifier: Apache-2.0
"""`stackyard cluster`: make, look at, resize, upgrade and delete clusters through the container-infrastructure API.

The same API that `openstack coe` talks to; node groups, certificates and templates have modules of their own.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from stackyard.cli import certificates, infra, nodegroups, output, templates
from stackyard.cli.following import Operation
from stackyard.cli.infra import Json
from stackyard.cli.nodegroups import finish, flavor_option, image_option, volume_option, wait_option
from stackyard.cli.session import Session, quote
from stackyard.model import errors

COLUMNS = ("name", "status", "managers", "nodes", "health", "uuid")


@click.group()
def cluster() -> None:
    """Make, look at, change and delete clusters."""


@cluster.command()
@click.argument("name")
@click.option("--template", default="swarm", show_default=True, help="Cluster template; `swarm` is made when absent.")
@click.option("--nodes", type=click.IntRange(min=0), default=2, show_default=True, help="Nodes that only work.")
@click.option("--managers", type=click.IntRange(min=1), default=1, show_default=True, help="Nodes that manage (odd).")
@flavor_option
@click.option("--manager-flavor", help="Size of a node that manages.")
@image_option
@click.option("--label", multiple=True, callback=infra.pairs, metavar="K=V", help="Label of the cluster (again).")
@volume_option
@click.option("--timeout", type=click.IntRange(min=0), help="Minutes that an operation may take; 0: no limit.")
@wait_option
@output.json_option
def create(name: str, wait: bool, as_json: bool, **options: Any) -> None:
    """Make a cluster."""
    api = infra.session()
    _check_new(api, name)
    made = api.post("/clusters", {"name": name, **_wanted(api, options)})
    operation = Operation(api, {"name": name, **made}, f"create cluster {name}", quiet=as_json)
    finish(operation, wait=wait, as_json=as_json)
    if wait and not as_json and sys.stderr.isatty():
        click.echo(f'docker on it: eval "$(stackyard cluster config {name})"; docker node ls', err=True)


def _check_new(api: Session, name: str) -> None:
    """Raise Conflict when there is a cluster of this name: the API would make a second one."""
    try:
        found = infra.cluster(api, name)
    except errors.NotFound:
        return
    tail = f"; 'stackyard cluster delete {name}' removes it" if found["status"].endswith("_FAILED") else ""
    raise errors.Conflict(f"there is a cluster {name} already ({found['status']}){tail}")


def _wanted(api: Session, options: Json) -> Json:
    template = templates.resolve(api, options["template"], options["image"])
    managers, labels = options["managers"], options["label"]
    optional = infra.given(
        flavor_id=options["flavor"],
        master_flavor_id=options["manager_flavor"],
        docker_volume_size=options["volume_size"],
        labels=labels,
        create_timeout=options["timeout"],
    )
    counts = {"node_count": options["nodes"], "master_count": managers, "master_lb_enabled": managers > 1}
    merge = {"merge_labels": True} if labels else {}
    return {"cluster_template_id": template["uuid"], **counts, **optional, **merge}


@cluster.command("list")
@output.json_option
def list_clusters(as_json: bool) -> None:
    """List clusters."""
    found = infra.clusters(infra.session())
    rows = found if as_json else [_row(each) for each in found]
    output.show(COLUMNS, rows, as_json=as_json, empty="no clusters yet; 'stackyard cluster create NAME' makes one")


def _row(found: Json) -> Json:
    counts = {"managers": found.get("master_count"), "nodes": found.get("node_count")}
    return {**found, **counts, "health": found.get("health_status")}


@cluster.command()
@click.argument("name")
@click.option("--watch", "-w", is_flag=True, help="Follow it until nothing is in progress.")
@output.json_option
def show(name: str, watch: bool, as_json: bool) -> None:
    """Show a cluster: its node groups, its nodes, and what is wrong."""
    api = infra.session()
    known = infra.cluster(api, name)
    operation = Operation(api, known, f"{known['status'].lower().replace('_', ' ')} of cluster {name}", quiet=as_json)
    if watch and known["status"] == "DELETE_IN_PROGRESS":
        operation.vanish()
        return
    busy = watch and known["status"].endswith("_IN_PROGRESS")
    nodegroups.print_cluster(infra.whole(api, operation.settle() if busy else known), as_json=as_json)


@cluster.command()
@click.argument("name")
@click.option("--nodes", type=click.IntRange(min=0), help="Nodes that the group shall have.")
@click.option("--group", help="Node group. Default: the workers that the cluster was made with.")
@click.option("--remove", multiple=True, metavar="NODE", help="Node to go, by name, id or address (again).")
@wait_option
@output.json_option
def resize(name: str, wait: bool, as_json: bool, **options: Any) -> None:
    """Change the number of nodes; what runs on nodes that go moves to others first."""
    api = infra.session()
    known = infra.cluster(api, name)
    count = _count(api, known, options)
    wanted = {"node_count": count, **infra.given(nodegroup=options["group"], nodes_to_remove=options["remove"])}
    api.post(f"/clusters/{known['uuid']}/actions/resize", wanted)
    place = f"{options['group']} of cluster {name}" if options["group"] else f"cluster {name}"
    operation = Operation(api, known, f"resize {place} to {count} nodes", quiet=as_json)
    finish(operation, wait=wait, as_json=as_json)


def _count(api: Session, known: Json, options: Json) -> int:
    """Return the number of nodes asked for; those named with --remove are that many fewer."""
    if options["nodes"] is not None:
        return int(options["nodes"])
    if not options["remove"]:
        raise click.UsageError("Say how many nodes there shall be (--nodes N), or which go (--remove NODE).")
    group = _group(infra.groups(api, known), options["group"])
    return max(0, int(group["node_count"]) - len(set(options["remove"])))


def _group(groups: list[Json], ident: str | None) -> Json:
    for group in groups:
        if ident in (group["uuid"], group["name"]) or (ident is None and _is_default(group)):
            return group
    have = ", ".join(str(group["name"]) for group in groups)
    raise errors.NotFound(f"there is no node group {ident!r}; there are: {have}")


def _is_default(group: Json) -> bool:
    return bool(group.get("is_default")) and group["role"] != "master"


@cluster.command()
@click.argument("name")
@click.option("--template", help="Cluster template to go to.")
@click.option("--image", help="Image of nodes to go to; a template for it is made when absent.")
@click.option("--batch", type=click.IntRange(min=1), help="Nodes replaced at a time. Default: 1.")
@click.option("--group", help="Only this node group.")
@wait_option
@output.json_option
def upgrade(name: str, wait: bool, as_json: bool, **options: Any) -> None:
    """Replace the nodes by those of another image, a batch at a time; what they store is kept."""
    if not options["template"] and not options["image"]:
        raise click.UsageError("Say what to go to: --image IMAGE ('stackyard cluster offers') or --template TEMPLATE.")
    api = infra.session()
    known = infra.cluster(api, name)
    base = options["template"] or known["cluster_template_id"]
    template = templates.resolve(api, base, options["image"])
    more = infra.given(max_batch_size=options["batch"], nodegroup=options["group"])
    api.post(f"/clusters/{known['uuid']}/actions/upgrade", {"cluster_template": template["uuid"], **more})
    title = f"upgrade cluster {name} to {template['name']} (image {template['image_id']})"
    finish(Operation(api, known, title, quiet=as_json), wait=wait, as_json=as_json)


@cluster.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@wait_option
@output.json_option
def delete(name: str, yes: bool, wait: bool, as_json: bool) -> None:
    """Delete a cluster and what runs on it."""
    api = infra.session()
    known = infra.cluster(api, name)
    output.confirm(f"Delete cluster {name} and what runs on it?", yes=yes or not sys.stdin.isatty())
    api.delete(f"/clusters/{quote(known['uuid'])}")
    certificates.forget(known)
    if wait:
        Operation(api, known, f"delete cluster {name}", quiet=as_json).vanish()
    if as_json:
        output.print_json({"name": known["name"], "uuid": known["uuid"], "deleted": wait})


for command in (certificates.config, certificates.rotate, nodegroups.nodegroup, templates.offers):
    cluster.add_command(command)
cluster.add_command(templates.list_templates)
