# SPDX-License-Identifier: Apache-2.0
"""Requests on cluster templates. Called through the table of routes."""

from __future__ import annotations

from typing import Any

from stackyard.api import validation
from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, patches, schemas, views
from stackyard.model import errors
from stackyard.model.clusters import ClusterTemplate

SORT = {"id": "created_at", "uuid": "id", "name": "name", "created_at": "created_at", "updated_at": "updated_at"}


def find(call: Call) -> ClusterTemplate:
    """Return the template that the path names."""
    return call.services.intents.templates.find(call.caller, call.args["template"])


def index(call: Call) -> Reply:
    """List a page of templates."""
    templates = call.services.intents.templates.list(call.caller, paging.page(call, SORT))
    items = [views.template(call, template) for template in templates]
    return Reply(data=paging.paged(call, "clustertemplates", "clustertemplates", items))


def create(call: Call) -> Reply:
    """Make a template."""
    _check_publish(call, call.body)
    values = {**call.body, "labels": views.text_labels(call.body.get("labels"))}
    template = call.services.intents.templates.create(call.caller, values)
    shown = views.template(call, template)
    return Reply(201, shown, {"Location": shown["links"][0]["href"]})


def show(call: Call) -> Reply:
    """Show a template."""
    return Reply(data=views.template(call, call.target))


def update(call: Call) -> Reply:
    """Change fields of a template by JSON patch."""
    values = patches.changes(call.body, call.target.labels)
    _check_removal(values)
    validation.check(_CHANGES, {name: value for name, value in values.items() if value is not None})
    _check_publish(call, values)
    if "labels" in values:
        values["labels"] = views.text_labels(values["labels"])
    changed = call.services.intents.templates.update(call.caller, call.target.id, values)
    return Reply(data=views.template(call, changed))


def delete(call: Call) -> Reply:
    """Remove a template."""
    call.services.intents.templates.delete(call.caller, call.target.id)
    return Reply(204)


_CHANGES: dict[str, Any] = {**schemas.TEMPLATE, "required": []}


def _check_removal(values: dict[str, Any]) -> None:
    for name in ("coe", "image_id"):
        if name in values and values[name] is None:
            raise errors.BadInput(f"{name} can't be removed: a template always has one")


def _check_publish(call: Call, values: dict[str, Any]) -> None:
    if (values.get("public") or values.get("hidden")) and not call.caller.is_admin:
        raise errors.Forbidden("Policy doesn't allow clustertemplate:publish to be performed.")
