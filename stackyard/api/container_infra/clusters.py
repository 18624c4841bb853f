# SPDX-License-Identifier: Apache-2.0
"""Requests on clusters. Called through the table of routes."""

from __future__ import annotations

from typing import Any

from stackyard.api import validation
from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, patches, schemas, views
from stackyard.model import errors
from stackyard.model.clusters import Cluster

ROLLBACK, UPGRADE, ZERO_NODES = (1, 3), (1, 8), (1, 10)
BOOLEANS = frozenset(["1", "t", "true", "on", "y", "yes", "0", "f", "false", "off", "n", "no"])
CHANGEABLE = frozenset({"name", "labels", "node_count", "master_count"})
REPORTED = frozenset({"health_status", "health_status_reason"})
MANDATORY = frozenset({"name", "cluster_template_id"})
SORT = {
    "id": "created_at",
    "uuid": "id",
    "name": "name",
    "stack_id": "id",
    "cluster_id": "id",
    "project_id": "project_id",
    "status": "phase",
    "cluster_template_id": "template_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}


def find(call: Call) -> Cluster:
    """Return the cluster that the path names."""
    return call.services.intents.clusters.find(call.caller, call.args["cluster"])


def index(call: Call) -> Reply:
    """List a page of clusters, in short."""
    clusters, groups = call.services.intents.clusters.list(call.caller, paging.page(call, SORT))
    items = [views.short_cluster(call, cluster, groups[cluster.id]) for cluster in clusters]
    return Reply(data=paging.paged(call, "clusters", "clusters", items))


def detail(call: Call) -> Reply:
    """List a page of clusters, whole."""
    intents = call.services.intents.clusters
    clusters, groups = intents.list(call.caller, paging.page(call, SORT))
    templates = intents.templates(clusters) if clusters else {}
    items = [views.cluster(call, each, groups[each.id], templates.get(each.template_id)) for each in clusters]
    return Reply(data=paging.paged(call, "clusters/detail", "clusters", items))


def create(call: Call) -> Reply:
    """Ask for a cluster."""
    check_zero(call, call.body.get("node_count"))
    values = {**call.body, "labels": views.text_labels(call.body.get("labels"))}
    try:
        cluster = call.services.intents.clusters.create(call.caller, values)
    except errors.NotFound as error:
        if call.version < ZERO_NODES:
            raise errors.BadInput(str(error)) from error
        raise
    return Reply(202, {"uuid": cluster.id})


def show(call: Call) -> Reply:
    """Show a cluster."""
    groups, template = call.services.intents.clusters.details(call.target)
    return Reply(data=views.cluster(call, call.target, groups, template))


def update(call: Call) -> Reply:
    """Change counts of nodes, name and labels by JSON patch; health is computed here, so that reported is not kept."""
    _check_rollback(call)
    values = patches.changes(call.body, {"labels": call.target.labels}, MANDATORY)
    refused = sorted(set(values) - CHANGEABLE - REPORTED)
    if refused:
        raise errors.BadInput(f"cannot change cluster property(ies) {', '.join(refused)[:200]}.")
    if REPORTED & set(values) and not call.may("cluster:update_health_status"):
        raise errors.Forbidden("Policy doesn't allow cluster:update_health_status to be performed.")
    validation.check(schemas.CLUSTER_CHANGES, values)
    wanted = {name: _meaning(name, value) for name, value in values.items() if name in CHANGEABLE}
    check_zero(call, wanted.get("node_count"))
    if wanted:
        call.services.intents.clusters.update(call.caller, call.target.id, wanted)
    return Reply(202, {"uuid": call.target.id})


def resize(call: Call) -> Reply:
    """Ask for another number of nodes in a group, maybe naming those that go."""
    count, group = call.body["node_count"], call.body.get("nodegroup")
    check_zero(call, count)
    leaving = list(dict.fromkeys(call.body.get("nodes_to_remove") or []))
    call.services.intents.clusters.resize(call.caller, call.target.id, count, group, leaving)
    return Reply(202, {"uuid": call.target.id})


def upgrade(call: Call) -> Reply:
    """Ask for the nodes of another template."""
    if call.version < UPGRADE:
        raise errors.BadInput("Cluster upgrade is not supported in the provided microversion.")
    body = call.body
    size = body.get("max_batch_size") or 1
    group = body.get("nodegroup")
    call.services.intents.rolls.upgrade(call.caller, call.target.id, body["cluster_template"], size, group)
    return Reply(202, {"uuid": call.target.id})


def delete(call: Call) -> Reply:
    """Ask for the cluster to go."""
    call.services.intents.clusters.delete(call.caller, call.target.id)
    return Reply(204)


def check_zero(call: Call, count: int | None) -> None:
    """Raise BadInput for a count of nodes that came later than the version of the request."""
    if count == 0 and call.version < ZERO_NODES:
        raise errors.BadInput("Resizing a nodegroup to zero is not supported in the provided microversion.")


def _meaning(name: str, value: Any) -> Any:
    """Return what a changed value means: what was removed has its default again."""
    if name == "labels":
        return views.text_labels(value) or {}
    return 1 if value is None else value


def _check_rollback(call: Call) -> None:
    """Take `rollback` where there is one: the intent that failed is kept here, and can be changed back."""
    given = call.query.get("rollback")
    if given is not None and call.version < ROLLBACK:
        raise errors.BadInput("Unknown argument: rollback")
    if given is not None and given.strip().lower() not in BOOLEANS:
        raise errors.BadInput("rollback must be true or false")
