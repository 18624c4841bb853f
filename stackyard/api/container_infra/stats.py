# SPDX-License-Identifier: Apache-2.0
"""Requests for numbers of clusters and nodes. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.call import Call, Reply
from stackyard.model import errors


def show(call: Call) -> Reply:
    """Tell how many clusters and nodes, masters too, a project has (admins: all projects', or one's)."""
    caller, project = call.caller, call.query.get("project_id")
    if call.query.get("type", "cluster").lower() != "cluster":
        raise errors.BadInput("Invalid stats type. Allowed values are 'cluster'")
    if not caller.is_admin and project not in (None, "", caller.project_id):
        raise errors.Forbidden("Not authorized: only admins may see the stats of another project.")
    mine = None if caller.is_admin else caller.project_id
    clusters, nodes = call.services.intents.clusters.totals(project or mine)
    return Reply(data={"clusters": clusters, "nodes": nodes})
