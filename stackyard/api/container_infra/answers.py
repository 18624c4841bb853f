# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of what the container-infra API answers, for its description; tests hold real answers against them.

Beside the views, which make the answers: a field that one of them adds belongs here too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stackyard.api.call import Answers, Route
from stackyard.api.container_infra.schemas import MAX_INT, TEMPLATE_FIELDS, Schema
from stackyard.api.container_infra.views import CLUSTER_FIELDS, STATUS, TEMPLATE_ATTRIBUTES
from stackyard.intents.quotas import RESOURCES

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
STATE: Schema = {"enum": sorted({*STATUS.values(), "CREATE_COMPLETE", "UPDATE_COMPLETE"})}
HEALTH: Schema = {"enum": ["HEALTHY", "UNHEALTHY", "UNKNOWN", None]}


def _object(title: str, fields: Schema, *optional: str) -> Schema:
    """Return the schema of an object that has these fields and no others, all but the optional ones always."""
    required = [name for name in fields if name not in optional]
    named = {"title": title} if title else {}
    return {**named, "type": "object", "properties": fields, "required": required, "additionalProperties": False}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _page(title: str, name: str, item: Schema) -> Schema:
    return _object(title, {name: _list(item), "next": {"type": "string", "format": "uri"}}, "next")


LINK = _object("Link", {"rel": TEXT, "href": TEXT, "type": TEXT}, "type")
LINKS = _list(LINK)
_TIMES: Schema = {"created_at": TIME, "updated_at": TIME_OR_NULL}
_OWNER: Schema = {"project_id": TEXT, "user_id": TEXT}
_LABEL_CHANGES: Schema = {"labels_overridden": LABELS, "labels_added": LABELS, "labels_skipped": LABELS}
NODE = _object("Node", {"id": TEXT_OR_NULL, "name": TEXT, "address": TEXT, "state": TEXT})

ROOT = _object(
    "Versions",
    {
        "name": TEXT,
        "description": TEXT,
        "versions": _list(
            _object("", {"id": TEXT, "status": TEXT, "min_version": TEXT, "max_version": TEXT, "links": LINKS})
        ),
    },
)
V1: Schema = {
    "title": "Collections",
    "type": "object",
    "required": ["id", "media_types", "links"],
    "properties": {"id": TEXT, "media_types": _list(_object("", {"base": TEXT, "type": TEXT})), "links": LINKS},
    "additionalProperties": LINKS,
}
ACCEPTED = _object("Accepted", {"uuid": UUID})


def _given(name: str) -> Schema:
    """Return the schema of a template's field as it is shown: what was given, and null where nothing was."""
    kinds = {"boolean": FLAG, "integer": COUNT_OR_NULL, "string": TEXT_OR_NULL}
    field = TEMPLATE_FIELDS[name]
    if "enum" in field:
        return {"enum": field["enum"]}
    kind = next(kind for kind in field["type"] if kind != "null")
    return kinds[kind]


TEMPLATE = _object(
    "ClusterTemplate",
    {
        "uuid": UUID,
        "name": TEXT,
        "coe": TEXT,
        "image_id": TEXT,
        "labels": LABELS,
        "public": FLAG,
        "hidden": FLAG,
        **{name: _given(name) for name in TEMPLATE_ATTRIBUTES},
        **_OWNER,
        **_TIMES,
        "links": LINKS,
    },
)
_STACK = {"cluster_id": {**UUID, "description": "since 1.13"}, "stack_id": {**UUID, "description": "before 1.13"}}
_SHORT: Schema = {
    "uuid": UUID,
    "name": TEXT,
    "cluster_template_id": UUID,
    "keypair": TEXT_OR_NULL,
    "node_count": COUNT,
    "master_count": COUNT,
    "docker_volume_size": COUNT_OR_NULL,
    "labels": LABELS,
    "master_flavor_id": TEXT_OR_NULL,
    "flavor_id": TEXT_OR_NULL,
    "create_timeout": COUNT,
    "merge_labels": FLAG,
    "links": LINKS,
    **_STACK,
    "status": STATE,
    "health_status": HEALTH,
}
SHORT_CLUSTER = _object("ShortCluster", _SHORT, *_STACK)
_CLUSTER_FIELDS: Schema = {name: _given(name) if name in TEMPLATE_FIELDS else TEXT_OR_NULL for name in CLUSTER_FIELDS}
CLUSTER = _object(
    "Cluster",
    {
        **_SHORT,
        **_CLUSTER_FIELDS,
        "status_reason": TEXT_OR_NULL,
        "health_status_reason": LABELS,
        "api_address": TEXT_OR_NULL,
        "coe_version": TEXT_OR_NULL,
        "container_version": TEXT_OR_NULL,
        "node_addresses": _list(TEXT),
        "master_addresses": _list(TEXT),
        "nodes": _list(_object("ClusterNode", {**NODE["properties"], "nodegroup": TEXT_OR_NULL})),
        "faults": LABELS,
        **_LABEL_CHANGES,
        **_OWNER,
        **_TIMES,
    },
    *_STACK,
    "faults",
)
_SHORT_GROUP: Schema = {
    "uuid": UUID,
    "name": TEXT,
    "role": TEXT,
    "flavor_id": TEXT_OR_NULL,
    "image_id": TEXT_OR_NULL,
    "node_count": COUNT,
    "min_node_count": COUNT,
    "max_node_count": COUNT_OR_NULL,
    "is_default": FLAG,
    "stack_id": TEXT,
    "status": STATE,
    "merge_labels": FLAG,
}
SHORT_NODEGROUP = _object("ShortNodeGroup", _SHORT_GROUP)
NODEGROUP = _object(
    "NodeGroup",
    {
        **_SHORT_GROUP,
        "id": {"type": "integer", "minimum": 1},
        "node_labels": LABELS,
        "node_taints": _list({"type": "object"}),
        "links": LINKS,
        "cluster_id": UUID,
        "project_id": TEXT,
        "docker_volume_size": COUNT_OR_NULL,
        "labels": LABELS,
        **_LABEL_CHANGES,
        "node_addresses": _list(TEXT),
        "nodes": _list(NODE),
        "status_reason": TEXT_OR_NULL,
        "version": TEXT_OR_NULL,
        **_TIMES,
    },
)
_CERTIFICATE: Schema = {"cluster_uuid": UUID, "pem": TEXT, "links": LINKS}
CERTIFICATE = _object("Certificate", _CERTIFICATE)
SIGNED = _object("SignedCertificate", {**_CERTIFICATE, "csr": TEXT, "ca_cert_type": TEXT}, "ca_cert_type")
_LIMIT: Schema = {
    "hard_limit": {"type": "integer", "minimum": 0, "maximum": MAX_INT},
    "project_id": TEXT,
    "resource": {"enum": list(RESOURCES)},
}
_SET: Schema = {"id": {"type": "integer", "minimum": 1}, **_LIMIT, **_TIMES}
QUOTA = _object("Quota", _SET)
QUOTA_OR_DEFAULT = _object("QuotaOrDefault", _SET, "id", *_TIMES)
SERVICE = _object(
    "Service",
    {
        "id": {"type": "integer", "minimum": 1},
        "host": TEXT,
        "binary": TEXT,
        "state": {"enum": ["up", "down"]},
        "report_count": COUNT,
        "disabled": FLAG,
        "disabled_reason": TEXT_OR_NULL,
        **_TIMES,
    },
)
STATS = _object("Stats", {"clusters": COUNT, "nodes": COUNT})
_LABEL = _object(
    "Label",
    {
        "name": TEXT,
        "kind": {"enum": ["boolean", "integer", "text"]},
        "help": TEXT,
        "default": TEXT,
        "lowest": {"type": "integer"},
        "highest": {"type": "integer"},
    },
)
_OFFERED: Schema = {"id": UUID, "name": TEXT}
OFFERS = _object(
    "Offers",
    {
        "images": _list(_object("", {**_OFFERED, "os_distro": TEXT})),
        "flavors": _list(_object("", {**_OFFERED, "cpus": {"type": "number"}, "memory_mb": COUNT})),
        "networks": _list(_object("", {**_OFFERED, "external": FLAG})),
        "engines": _list(_object("", {"coe": TEXT, "labels": _list(_LABEL)})),
    },
)
DESCRIPTION: Schema = {"title": "Description", "type": "object", "required": ["openapi", "info", "paths"]}

ERROR = _object(
    "Error",
    {
        "request_id": TEXT,
        "code": TEXT,
        "status": {"type": "integer"},
        "title": TEXT,
        "detail": TEXT,
        "links": LINKS,
        "min_version": TEXT,
        "max_version": TEXT,
    },
    *("request_id", "status", "detail", "min_version", "max_version"),
)
ERRORS = _object("Errors", {"errors": _list(ERROR)})

_TEMPLATES = _page("ClusterTemplates", "clustertemplates", TEMPLATE)
_FEDERATIONS = _page("Federations", "federations", {"type": "object"})

BOOLEAN: Schema = {"enum": ["true", "false"]}
PARAMETERS: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1},
    "marker": {"type": "string", "description": "the last object of the page before: its UUID (of a quota, its id)"},
    "sort_key": TEXT,
    "sort_dir": {"enum": ["asc", "desc"]},
    "role": TEXT,
    "rollback": BOOLEAN,
    "ca_cert_type": TEXT,
    "all_tenants": BOOLEAN,
    "project_id": TEXT,
    "type": {"enum": ["cluster"]},
}

# What each route answers when all is well, and with `ERRORS` what not every route of its kind may refuse.
ANSWERS: Mapping[tuple[str, str], Answers] = {
    ("GET", ""): {200: ROOT},
    ("GET", "/v1"): {200: V1},
    ("GET", "/v1/openapi.json"): {200: DESCRIPTION},
    ("GET", "/v1/clustertemplates"): {200: _TEMPLATES},
    ("GET", "/v1/clustertemplates/detail"): {200: _TEMPLATES},
    ("POST", "/v1/clustertemplates"): {201: TEMPLATE},
    ("GET", "/v1/clustertemplates/{template}"): {200: TEMPLATE},
    ("PATCH", "/v1/clustertemplates/{template}"): {200: TEMPLATE},
    ("DELETE", "/v1/clustertemplates/{template}"): {204: None},
    ("GET", "/v1/clusters"): {200: _page("ShortClusters", "clusters", SHORT_CLUSTER)},
    ("GET", "/v1/clusters/detail"): {200: _page("Clusters", "clusters", CLUSTER)},
    ("POST", "/v1/clusters"): {202: ACCEPTED, 404: ERRORS},
    ("GET", "/v1/clusters/{cluster}"): {200: CLUSTER},
    ("PATCH", "/v1/clusters/{cluster}"): {202: ACCEPTED},
    ("DELETE", "/v1/clusters/{cluster}"): {204: None},
    ("POST", "/v1/clusters/{cluster}/actions/resize"): {202: ACCEPTED},
    ("POST", "/v1/clusters/{cluster}/actions/upgrade"): {202: ACCEPTED},
    ("GET", "/v1/clusters/{cluster}/nodegroups"): {200: _page("NodeGroups", "nodegroups", SHORT_NODEGROUP)},
    ("POST", "/v1/clusters/{cluster}/nodegroups"): {202: NODEGROUP},
    ("GET", "/v1/clusters/{cluster}/nodegroups/{nodegroup}"): {200: NODEGROUP},
    ("PATCH", "/v1/clusters/{cluster}/nodegroups/{nodegroup}"): {202: NODEGROUP},
    ("DELETE", "/v1/clusters/{cluster}/nodegroups/{nodegroup}"): {204: None},
    ("GET", "/v1/certificates/{cluster}"): {200: CERTIFICATE},
    ("POST", "/v1/certificates"): {201: SIGNED},
    ("PATCH", "/v1/certificates/{cluster}"): {202: ACCEPTED},
    ("PATCH", "/v1/credentials/{cluster}"): {202: ACCEPTED},
    ("GET", "/v1/quotas"): {200: _page("Quotas", "quotas", QUOTA), 404: ERRORS},
    ("POST", "/v1/quotas"): {201: QUOTA},
    ("GET", "/v1/quotas/{project}/{resource}"): {200: QUOTA_OR_DEFAULT},
    ("PATCH", "/v1/quotas/{project}/{resource}"): {202: QUOTA},
    ("DELETE", "/v1/quotas/{project}/{resource}"): {204: None},
    ("GET", "/v1/mservices"): {200: _object("Services", {"mservices": _list(SERVICE)})},
    ("GET", "/v1/federations"): {200: _FEDERATIONS},
    ("GET", "/v1/federations/detail"): {200: _FEDERATIONS},
    ("POST", "/v1/federations"): {404: ERRORS},
    ("GET", "/v1/federations/{federation}"): {},
    ("PATCH", "/v1/federations/{federation}"): {},
    ("DELETE", "/v1/federations/{federation}"): {},
    ("GET", "/v1/stats"): {200: STATS},
    ("GET", "/v1/offers"): {200: OFFERS},
}


def answered(route: Route) -> Route:
    """Return the route with what it answers."""
    found: Mapping[int, Any] = ANSWERS[route.method, route.path]
    return dataclasses.replace(route, answers=found)
