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
ANY_NAME: Schema = _text(minLength=1)
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
WORD: Schema = _text(minLength=1)
NODE_LABELS: Schema = {
    "type": ["object", "null"],
    "maxProperties": 500,
    "propertyNames": {"minLength": 1, "maxLength": 255},
    "additionalProperties": {"type": "string", "maxLength": 4096},
}
NODE_TAINTS: Schema = {
    "type": ["array", "null"],
    "maxItems": 0,
    "description": "are Kubernetes' own: this cluster's engine has none",
}

TEMPLATE_FIELDS: Schema = {
    "name": ANY_NAME,
    "coe": {"enum": ["kubernetes", "swarm", "swarm-mode", "docker", "mesos"]},
    "image_id": IDENT,
    "flavor_id": WORD,
    "master_flavor_id": WORD,
    "dns_nameserver": WORD,
    "keypair_id": WORD,
    "external_network_id": WORD,
    "fixed_network": WORD,
    "fixed_subnet": WORD,
    "network_driver": WORD,
    "volume_driver": WORD,
    "apiserver_port": _count(1024, 65535),
    "docker_volume_size": _count(1),
    "docker_storage_driver": WORD,
    "cluster_distro": WORD,
    "http_proxy": WORD,
    "https_proxy": WORD,
    "no_proxy": WORD,
    "registry_enabled": FLAG,
    "insecure_registry": WORD,
    "labels": LABELS,
    "tls_disabled": FLAG,
    "public": FLAG,
    "hidden": FLAG,
    "server_type": {"enum": ["vm", "bm", None]},
    "master_lb_enabled": FLAG,
    "floating_ip_enabled": FLAG,
    "tags": _text(),
    "driver": WORD,
}
TEMPLATE = _object(TEMPLATE_FIELDS, "coe", "image_id")

CLUSTER = _object(
    {
        "name": NAME,
        "cluster_template_id": IDENT,
        "keypair": WORD,
        "node_count": _count(0, MAX_NODES),
        "master_count": _count(1, MAX_NODES),
        "docker_volume_size": _count(1),
        "labels": LABELS,
        "merge_labels": FLAG,
        "master_flavor_id": WORD,
        "flavor_id": WORD,
        "create_timeout": _count(0, 60 * 24 * 365),
        "discovery_url": _text(4096),
        "fixed_network": WORD,
        "fixed_subnet": WORD,
        "floating_ip_enabled": FLAG,
        "master_lb_enabled": FLAG,
    },
    "cluster_template_id",
)

CLUSTER_CHANGES = _object(
    {
        "name": {**NAME, "type": "string"},
        "labels": LABELS,
        "node_count": _count(0, MAX_NODES),
        "master_count": _count(1, MAX_NODES),
        "health_status": {"enum": ["HEALTHY", "UNHEALTHY", "UNKNOWN", None]},
        "health_status_reason": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    }
)

RESIZE = _object(
    {
        "node_count": {"type": "integer", "minimum": 0, "maximum": MAX_NODES},
        "nodes_to_remove": {"type": ["array", "null"], "items": IDENT, "maxItems": MAX_NODES},
        "nodegroup": WORD,
    },
    "node_count",
)

UPGRADE = _object({"cluster_template": IDENT, "max_batch_size": _count(1), "nodegroup": WORD}, "cluster_template")

NODEGROUP = _object(
    {
        "name": IDENT,
        "node_count": _count(0, MAX_NODES),
        "min_node_count": _count(0, MAX_NODES),
        "max_node_count": _count(0, MAX_NODES),
        "role": WORD,
        "image_id": WORD,
        "flavor_id": WORD,
        "docker_volume_size": _count(1),
        "labels": LABELS,
        "merge_labels": FLAG,
        "node_labels": NODE_LABELS,
        "node_taints": NODE_TAINTS,
    },
    "name",
)
NODEGROUP_CHANGES = _object(
    {
        "min_node_count": _count(0, MAX_NODES),
        "max_node_count": _count(0, MAX_NODES),
        "node_labels": NODE_LABELS,
        "node_taints": NODE_TAINTS,
    }
)

PATCH: Schema = {
    "type": "array",
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
                "pattern": r"^(/[\w.~-]+)+\Z",
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
        "ca_cert_type": _text(),
    },
    "cluster_uuid",
    "csr",
)
