# SPDX-License-Identifier: Apache-2.0
"""Requests on the node groups of a cluster. Called through the table of routes."""

from __future__ import annotations

from stackyard.api import validation
from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, patches, schemas, views
from stackyard.model import errors
from stackyard.model.clusters import NodeGroup

SORT = {
    "id": "created_at",
    "uuid": "id",
    "name": "name",
    "role": "role",
    "node_count": "node_count",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
CHANGEABLE = ("min_node_count", "max_node_count", "node_labels", "node_taints")
EMPTY = {"min_node_count": 0, "node_labels": {}}


def find(call: Call) -> NodeGroup:
    """Return the group that the path names."""
    return call.services.intents.nodegroups.find(call.caller, call.args["cluster"], call.args["nodegroup"])[1]


def index(call: Call) -> Reply:
    """List a page of the cluster's groups; `call.target` is the cluster."""
    page, role = paging.page(call, SORT), call.query.get("role") or None
    groups = call.services.intents.nodegroups.list(call.target, page, role)
    items = [views.short_nodegroup(group) for group in groups]
    return Reply(data=paging.paged(call, f"clusters/{call.target.id}/nodegroups", "nodegroups", items))


def create(call: Call) -> Reply:
    """Ask for a group of workers; `call.target` is the cluster."""
    values = {**call.body, "labels": views.text_labels(call.body.get("labels"))}
    cluster, group = call.services.intents.nodegroups.create(call.caller, call.target.id, values)
    return Reply(202, views.nodegroup(call, cluster, group))


def show(call: Call) -> Reply:
    """Show a group."""
    cluster, group = call.services.intents.nodegroups.find(call.caller, call.args["cluster"], call.target.id)
    return Reply(data=views.nodegroup(call, cluster, group))


def update(call: Call) -> Reply:
    """Change bounds and node labels of a group by JSON patch."""
    values = patches.changes(call.body, {"node_labels": call.target.node_labels})
    refused = sorted(set(values) - set(CHANGEABLE))
    if refused:
        raise errors.BadInput(f"cannot change nodegroup property(ies) {', '.join(refused)[:200]}.")
    validation.check(schemas.NODEGROUP_CHANGES, values)
    values.pop("node_taints", None)
    values = {name: EMPTY.get(name) if value is None else value for name, value in values.items()}
    intents, cluster, group = call.services.intents.nodegroups, call.args["cluster"], call.target.id
    found = intents.update(call.caller, cluster, group, values) if values else intents.find(call.caller, cluster, group)
    return Reply(202, views.nodegroup(call, *found))


def delete(call: Call) -> Reply:
    """Ask for the group to go."""
    call.services.intents.nodegroups.delete(call.caller, call.args["cluster"], call.target.id)
    return Reply(204)
