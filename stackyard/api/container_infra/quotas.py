# SPDX-License-Identifier: Apache-2.0
"""Requests on quotas: what a project may have. Called through the table of routes.

Where no limit was set for a project, the platform's default is shown, without an id.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, views
from stackyard.api.container_infra.schemas import MAX_INT, Schema
from stackyard.intents.quotas import RESOURCES
from stackyard.intents.rules import CLUSTER
from stackyard.model import errors
from stackyard.model.quotas import Quota

SORT = {name: name for name in ("id", "project_id", "resource", "hard_limit", "created_at", "updated_at")}
TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
FALSE = frozenset({"0", "f", "false", "off", "n", "no"})
LEAST = 1
"""The limit of a quota that is made or changed without one: upstream's default."""

_LIMIT: Schema = {
    "type": ["integer", "string"],
    "minimum": 0,
    "maximum": MAX_INT,
    "pattern": r"^[0-9]{1,9}\Z",
    "description": f"must be a number from 0 to {MAX_INT}",
}
_FIELDS: Schema = {
    "project_id": {"type": "string", "minLength": 1, "maxLength": 64},
    "resource": {"enum": list(RESOURCES)},
    "hard_limit": _LIMIT,
}
NEW: Schema = {"type": "object", "properties": _FIELDS, "required": ["project_id"], "additionalProperties": False}
CHANGE: Schema = {**NEW, "required": []}


@dataclasses.dataclass(frozen=True)
class Named:
    """What a path names, for policy to judge."""

    project_id: str
    resource: str


def find(call: Call) -> Named:
    """Return what the path names; whether it is there is no secret of a project."""
    return Named(call.args["project"], call.args["resource"])


def index(call: Call) -> Reply:
    """List a page of the limits that were set: of the caller's project, or of all that have one."""
    project = None if _every(call) and call.caller.is_admin else call.caller.project_id
    page = paging.page(call, SORT, _marker)
    items = [_view(quota) for quota in call.services.intents.quotas.list(project, page)]
    return Reply(data=paging.paged(call, "quotas", "quotas", items, "id"))


def create(call: Call) -> Reply:
    """Set a project's limit."""
    body = call.body
    quotas = call.services.intents.quotas
    return Reply(201, _view(quotas.create(body["project_id"], body.get("resource", CLUSTER), _limit(body))))


def show(call: Call) -> Reply:
    """Show a project's limit, or the default."""
    named: Named = call.target
    return Reply(data=_view(call.services.intents.quotas.find(named.project_id, named.resource)))


def update(call: Call) -> Reply:
    """Change a project's limit; the path tells whose, whatever the body says."""
    named: Named = call.target
    return Reply(202, _view(call.services.intents.quotas.update(named.project_id, named.resource, _limit(call.body))))


def delete(call: Call) -> Reply:
    """Go back to the default."""
    named: Named = call.target
    call.services.intents.quotas.delete(named.project_id, named.resource)
    return Reply(204)


def _view(quota: Quota) -> dict[str, Any]:
    shown = {"hard_limit": quota.hard_limit, "project_id": quota.project_id, "resource": quota.resource}
    if quota.id is None:
        return shown
    times = {"created_at": views.time(quota.created_at), "updated_at": views.time(quota.updated_at)}
    return {"id": quota.id, **shown, **times}


def _limit(body: dict[str, Any]) -> int:
    return int(body.get("hard_limit", LEAST))


def _marker(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.BadInput("marker must be the id of a quota, a number")
    return text


def _every(call: Call) -> bool:
    given = call.query.get("all_tenants", "false").lower()
    if given not in TRUE | FALSE:
        raise errors.BadInput("all_tenants must be true or false")
    return given in TRUE
