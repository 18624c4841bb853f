# SPDX-License-Identifier: Apache-2.0
"""Requests for numbers of clusters and nodes. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.call import Call, Reply
from stackyard.model import errors


def show(call: Call) -> Reply:
    """Tell how many clusters and nodes a project has (admins: all projects', or one's)."""
    project = call.query.get("project_id")
    if call.query.get("type", "cluster") != "cluster":
        raise errors.BadInput("type must be 'cluster'")
    if project and project != call.caller.project_id and not call.caller.is_admin:
        raise errors.Forbidden("only admins may see the stats of another project")
    clusters, nodes = call.services.intents.clusters.totals(
        project or (None if call.caller.is_admin else call.caller.project_id)
    )
    return Reply(data={"clusters": clusters, "nodes": nodes})
