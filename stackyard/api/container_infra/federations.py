# SPDX-License-Identifier: Apache-2.0
"""Requests on federations of clusters: there are none, and no driver can make one. Called through the table of routes.

Upstream has the same paths and no driver behind them either; clients that look for federations find an empty list.
"""

from __future__ import annotations

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging
from stackyard.api.container_infra.schemas import IDENT, NAME, Schema
from stackyard.model import errors

SORT = {name: name for name in ("id", "uuid", "name", "created_at", "updated_at")}
NEW: Schema = {
    "type": "object",
    "properties": {
        "name": NAME,
        "hostcluster_id": IDENT,
        "member_ids": {"type": "array", "items": IDENT, "maxItems": 1000},
        "properties": {"type": "object", "maxProperties": 500},
    },
    "additionalProperties": False,
}


def index(call: Call) -> Reply:
    """List no federations."""
    paging.page(call, SORT)
    return Reply(data={"federations": []})


def create(call: Call) -> Reply:
    """Refuse, after the checks that upstream makes."""
    host = call.body.get("hostcluster_id")
    if host is None:
        raise errors.BadInput("No hostcluster specified. Please specify a hostcluster_id.")
    call.services.intents.clusters.find(call.caller, host)
    raise errors.BadInput("No driver here can make federations of clusters.")


def absent(call: Call) -> Reply:
    """Refuse to show, change or delete one that there can't be."""
    raise errors.NotFound(f"Federation {call.args['federation'][:255]} could not be found.")
