# SPDX-License-Identifier: Apache-2.0
"""Requests on clusters. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, patches, views
from stackyard.model import errors
from stackyard.model.clusters import Cluster

ZERO_NODES = (1, 10)
SORT = {
    "id": "created_at",
    "uuid": "id",
    "name": "name",
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
    if call.body.get("node_count") == 0 and call.version < ZERO_NODES:
        raise errors.BadInput("node_count must be at least 1 before version 1.10")
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
    intents = call.services.intents.clusters
    template = intents.templates([call.target]).get(call.target.template_id)
    return Reply(data=views.cluster(call, call.target, intents.groups(call.target), template))


def update(call: Call) -> Reply:
    """Change the number of worker nodes by JSON patch."""
    values = patches.changes(call.body)
    refused = sorted(set(values) - {"node_count"})
    if refused:
        raise errors.BadInput(f"cannot change cluster property(ies) {', '.join(refused)[:200]}")
    count = values["node_count"]
    return _resized(call, 1 if count is None else _number(count), None)


def resize(call: Call) -> Reply:
    """Ask for another number of nodes in a group."""
    if call.body.get("nodes_to_remove"):
        raise errors.BadInput("nodes_to_remove is not supported: the newest nodes of the group are removed")
    return _resized(call, call.body["node_count"], call.body.get("nodegroup"))


def delete(call: Call) -> Reply:
    """Ask for the cluster to go."""
    call.services.intents.clusters.delete(call.caller, call.target.id)
    return Reply(204)


def _resized(call: Call, count: int, group: str | None) -> Reply:
    if count == 0 and call.version < ZERO_NODES:
        raise errors.BadInput("node_count must be at least 1 before version 1.10")
    call.services.intents.clusters.resize(call.caller, call.target.id, count, group)
    return Reply(202, {"uuid": call.target.id})


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1000:
        raise errors.BadInput("node_count must be an integer from 0 to 1000")
    return value
