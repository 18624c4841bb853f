# SPDX-License-Identifier: Apache-2.0
"""Requests on the node groups of a cluster. Called through the table of routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.api import validation
from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, patches, schemas, views
from stackyard.model import errors
from stackyard.model.clusters import NodeGroup

SORT = {"id": "created_at", "uuid": "id", "name": "name", "created_at": "created_at", "updated_at": "updated_at"}
CHANGEABLE = ("min_node_count", "max_node_count")


def find(call: Call) -> NodeGroup:
    """Return the group that the path names."""
    return call.services.intents.nodegroups.find(call.caller, call.args["cluster"], call.args["nodegroup"])[1]


def index(call: Call) -> Reply:
    """List a page of the cluster's groups; `call.target` is the cluster."""
    role = call.query.get("role")
    groups = call.services.intents.nodegroups.list(call.target, paging.page(call, SORT))
    items = [views.short_nodegroup(call, group) for group in groups if role in (None, group.role)]
    return Reply(data=paging.paged(call, f"clusters/{call.target.id}/nodegroups", "nodegroups", items))


def create(call: Call) -> Reply:
    """Ask for a group of workers; `call.target` is the cluster."""
    _check_engine_words(call.body)
    values = {**call.body, "labels": views.text_labels(call.body.get("labels"))}
    cluster, group = call.services.intents.nodegroups.create(call.caller, call.target.id, values)
    return Reply(202, views.nodegroup(call, cluster, group))


def show(call: Call) -> Reply:
    """Show a group."""
    cluster, group = call.services.intents.nodegroups.find(call.caller, call.args["cluster"], call.target.id)
    return Reply(data=views.nodegroup(call, cluster, group))


def update(call: Call) -> Reply:
    """Change the bounds of a group by JSON patch."""
    values = patches.changes(call.body)
    refused = sorted(set(values) - set(CHANGEABLE))
    if refused:
        raise errors.BadInput(f"cannot change nodegroup property(ies) {', '.join(refused)[:200]}")
    validation.check(schemas.NODEGROUP_CHANGES, values)
    values = {name: 0 if name == "min_node_count" and value is None else value for name, value in values.items()}
    intents = call.services.intents.nodegroups
    return Reply(202, views.nodegroup(call, *intents.update(call.caller, call.args["cluster"], call.target.id, values)))


def delete(call: Call) -> Reply:
    """Ask for the group to go."""
    call.services.intents.nodegroups.delete(call.caller, call.args["cluster"], call.target.id)
    return Reply(204)


def _check_engine_words(body: Mapping[str, Any]) -> None:
    for name in ("node_labels", "node_taints"):
        if body.get(name):
            raise errors.BadInput(f"{name} are Kubernetes' and not known to this cluster's engine")
