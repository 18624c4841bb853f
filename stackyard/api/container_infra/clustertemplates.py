# SPDX-License-Identifier: Apache-2.0
"""Requests on cluster templates. Called through the table of routes."""

from __future__ import annotations

from typing import Any

from stackyard.api import validation
from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import paging, patches, schemas, views
from stackyard.model import errors
from stackyard.model.clusters import ClusterTemplate

SORT = {
    "id": "created_at",
    "uuid": "id",
    "name": "name",
    "project_id": "project_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}


def find(call: Call) -> ClusterTemplate:
    """Return the template that the path names."""
    return call.services.intents.templates.find(call.caller, call.args["template"])


def index(call: Call) -> Reply:
    """List a page of templates."""
    return _page(call, "clustertemplates")


def detail(call: Call) -> Reply:
    """List a page of templates, whole, as the other list does, too."""
    return _page(call, "clustertemplates/detail")


def _page(call: Call, path: str) -> Reply:
    templates = call.services.intents.templates.list(call.caller, paging.page(call, SORT))
    items = [views.template(call, template) for template in templates]
    return Reply(data=paging.paged(call, path, "clustertemplates", items))


def create(call: Call) -> Reply:
    """Make a template."""
    _check_publish(call, {name: True for name in ("public", "hidden") if call.body.get(name)})
    values = {**call.body, "labels": views.text_labels(call.body.get("labels"))}
    template = call.services.intents.templates.create(call.caller, values)
    shown = views.template(call, template)
    return Reply(201, shown, {"Location": shown["links"][0]["href"]})


def show(call: Call) -> Reply:
    """Show a template."""
    return Reply(data=views.template(call, call.target))


def update(call: Call) -> Reply:
    """Change fields of a template by JSON patch."""
    values = patches.changes(call.body, {"labels": call.target.labels}, MANDATORY)
    unknown = sorted(set(values) - set(schemas.TEMPLATE_FIELDS))
    if unknown:
        raise errors.BadInput(f"Unknown attribute: {', '.join(unknown)[:200]}")
    validation.check(_CHANGES, {name: value for name, value in values.items() if value is not None})
    _check_publish(call, {name: value for name, value in values.items() if _differs(call.target, name, value)})
    if "labels" in values:
        values["labels"] = views.text_labels(values["labels"])
    intents = call.services.intents.templates
    changed = intents.update(call.caller, call.target.id, values) if values else call.target
    return Reply(data=views.template(call, changed))


def delete(call: Call) -> Reply:
    """Remove a template."""
    call.services.intents.templates.delete(call.caller, call.target.id)
    return Reply(204)


_CHANGES: dict[str, Any] = {**schemas.TEMPLATE, "required": []}


MANDATORY = frozenset(
    {
        "cluster_distro",
        "coe",
        "external_network_id",
        "hidden",
        "image_id",
        "network_driver",
        "public",
        "registry_enabled",
        "server_type",
        "tls_disabled",
    }
)


def _differs(template: ClusterTemplate, name: str, value: Any) -> bool:
    return name in ("public", "hidden") and bool(value) is not getattr(template, name)


def _check_publish(call: Call, values: dict[str, Any]) -> None:
    if any(values.get(name) is not None for name in ("public", "hidden")) and not call.may("clustertemplate:publish"):
        raise errors.Forbidden("Not authorized to set public or hidden flag for cluster template.")
