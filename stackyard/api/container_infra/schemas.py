# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of the bodies of the container-infra API (field names and limits are Magnum's)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

MAX_INT = 2**31 - 1
MAX_NODES = 1000


def _text(longest: int = 255, **more: Any) -> Schema:
    return {"type": ["string", "null"], "maxLength": longest, **more}


def _count(lowest: int, highest: int = MAX_INT) -> Schema:
    return {"type": ["integer", "null"], "minimum": lowest, "maximum": highest}


def _object(properties: Schema, *required: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


FLAG: Schema = {"type": ["boolean", "null"]}
NAME: Schema = _text(
    242,
    minLength=1,
    pattern=r"^[a-zA-Z][a-zA-Z0-9_.-]*\Z",
    description="must begin with a letter and have only letters, digits, '_', '.' and '-' in it",
)
LABELS: Schema = {
    "type": ["object", "null"],
    "maxProperties": 500,
    "propertyNames": {"maxLength": 255},
    "additionalProperties": {"type": ["string", "integer", "boolean", "number"], "maxLength": 4096},
}
IDENT: Schema = {"type": "string", "minLength": 1, "maxLength": 255}

TEMPLATE_FIELDS: Schema = {
    "name": NAME,
    "coe": {"enum": ["kubernetes", "swarm", "swarm-mode", "docker", "mesos"]},
    "image_id": IDENT,
    "flavor_id": _text(),
    "master_flavor_id": _text(),
    "dns_nameserver": _text(),
    "keypair_id": _text(),
    "external_network_id": _text(),
    "fixed_network": _text(),
    "fixed_subnet": _text(),
    "network_driver": _text(),
    "volume_driver": _text(),
    "apiserver_port": _count(1024, 65535),
    "docker_volume_size": _count(1),
    "docker_storage_driver": _text(),
    "cluster_distro": _text(),
    "http_proxy": _text(),
    "https_proxy": _text(),
    "no_proxy": _text(4096),
    "registry_enabled": FLAG,
    "insecure_registry": _text(),
    "labels": LABELS,
    "tls_disabled": {"enum": [False, None], "description": "must be false: engines here listen with mutual TLS only"},
    "public": FLAG,
    "hidden": FLAG,
    "server_type": {"enum": ["vm", "bm", None]},
    "master_lb_enabled": FLAG,
    "floating_ip_enabled": FLAG,
    "tags": _text(),
    "driver": _text(),
}
TEMPLATE = _object(TEMPLATE_FIELDS, "coe", "image_id")

CLUSTER = _object(
    {
        "name": NAME,
        "cluster_template_id": IDENT,
        "keypair": _text(),
        "node_count": _count(0, MAX_NODES),
        "master_count": _count(1, MAX_NODES),
        "docker_volume_size": _count(1),
        "labels": LABELS,
        "merge_labels": FLAG,
        "master_flavor_id": _text(),
        "flavor_id": _text(),
        "create_timeout": _count(0, 60 * 24 * 365),
        "discovery_url": _text(),
        "fixed_network": _text(),
        "fixed_subnet": _text(),
        "floating_ip_enabled": FLAG,
        "master_lb_enabled": FLAG,
    },
    "cluster_template_id",
)

RESIZE = _object(
    {
        "node_count": {"type": "integer", "minimum": 0, "maximum": MAX_NODES},
        "nodes_to_remove": {"type": ["array", "null"], "items": IDENT, "maxItems": MAX_NODES},
        "nodegroup": _text(),
    },
    "node_count",
)

NODEGROUP = _object(
    {
        "name": {**NAME, "type": "string"},
        "node_count": _count(0, MAX_NODES),
        "min_node_count": _count(0, MAX_NODES),
        "max_node_count": _count(0, MAX_NODES),
        "role": _text(minLength=1),
        "image_id": _text(),
        "flavor_id": _text(),
        "docker_volume_size": _count(1),
        "labels": LABELS,
        "merge_labels": FLAG,
        "node_labels": {"type": ["object", "null"], "maxProperties": 500},
        "node_taints": {"type": ["array", "null"], "maxItems": 500},
    },
    "name",
)
NODEGROUP_CHANGES = _object({"min_node_count": _count(0, MAX_NODES), "max_node_count": _count(0, MAX_NODES)})

PATCH: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": 200,
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "additionalProperties": False,
        "properties": {
            "op": {"enum": ["add", "replace", "remove"]},
            "path": {
                "type": "string",
                "maxLength": 600,
                "pattern": r"^(/[\w.-]+)+\Z",
                "description": "must be a JSON pointer like /node_count",
            },
            "value": {},
        },
    },
}

CSR = _object(
    {
        "cluster_uuid": IDENT,
        "csr": {"type": "string", "minLength": 1, "maxLength": 65536},
        "ca_cert_type": {"enum": ["kubernetes", "etcd", "front-proxy", None]},
    },
    "cluster_uuid",
    "csr",
)
