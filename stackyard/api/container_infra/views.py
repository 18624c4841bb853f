# SPDX-License-Identifier: Apache-2.0
"""How records look in Magnum's words; the only place where its statuses exist."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.api.call import Call
from stackyard.api.container_infra import schemas
from stackyard.intents.templates import OWN
from stackyard.model.clusters import MASTER, Cluster, ClusterTemplate, Node, NodeGroup
from stackyard.model.offers import Offers
from stackyard.model.phase import FAILED, Phase

View = dict[str, Any]

STATUS = {
    Phase.CREATING: "CREATE_IN_PROGRESS",
    Phase.UPDATING: "UPDATE_IN_PROGRESS",
    Phase.DELETING: "DELETE_IN_PROGRESS",
    Phase.CREATE_FAILED: "CREATE_FAILED",
    Phase.UPDATE_FAILED: "UPDATE_FAILED",
    Phase.DELETE_FAILED: "DELETE_FAILED",
    Phase.GONE: "DELETE_COMPLETE",
}
CLUSTER_ID = (1, 13)
TEMPLATE_ATTRIBUTES = tuple(name for name in schemas.TEMPLATE_FIELDS if name not in OWN)
CLUSTER_FIELDS = ("discovery_url", "fixed_network", "fixed_subnet", "floating_ip_enabled", "master_lb_enabled")


def links(call: Call, path: str) -> list[dict[str, str]]:
    """Return the pair of links that every object has."""
    return [
        {"rel": "self", "href": f"{call.url}/v1/{path}"},
        {"rel": "bookmark", "href": f"{call.url}/{path}"},
    ]


def text_labels(labels: Mapping[str, object] | None) -> dict[str, str] | None:
    """Return labels with their values as strings, which is how clients want them."""
    return None if labels is None else {key: str(value) for key, value in labels.items()}


def template(call: Call, record: ClusterTemplate) -> View:
    """Return a template."""
    return {
        "uuid": record.id,
        "name": record.name,
        "coe": record.coe,
        "image_id": record.image_id,
        "labels": record.labels,
        "public": record.public,
        "hidden": record.hidden,
        **{name: record.attributes.get(name) for name in TEMPLATE_ATTRIBUTES},
        "project_id": record.project_id,
        "user_id": record.user_id,
        "created_at": time(record.created_at),
        "updated_at": time(record.updated_at),
        "links": links(call, f"clustertemplates/{record.id}"),
    }


def short_cluster(call: Call, record: Cluster, groups: Sequence[NodeGroup]) -> View:
    """Return a cluster as lists show it."""
    return {
        "uuid": record.id,
        "name": record.name,
        "cluster_template_id": record.template_id,
        "keypair": record.keypair,
        "node_count": _nodes(groups, masters=False),
        "master_count": _nodes(groups, masters=True),
        "docker_volume_size": record.attributes.get("docker_volume_size"),
        "labels": record.labels,
        "master_flavor_id": record.attributes.get("master_flavor_id"),
        "flavor_id": record.attributes.get("flavor_id"),
        "create_timeout": record.create_timeout,
        "merge_labels": False,
        "links": links(call, f"clusters/{record.id}"),
        # The stack's id of old; clients want a string, and there is no stack.
        "cluster_id" if call.version >= CLUSTER_ID else "stack_id": record.id,
        "status": status(record.phase, record.generation > 1),
        "health_status": record.observed.health,
    }


def cluster(call: Call, record: Cluster, groups: Sequence[NodeGroup], made_of: ClusterTemplate | None) -> View:
    """Return a whole cluster; `made_of` is its template (None: gone)."""
    nodes = record.observed.nodes
    failed = record.phase in FAILED
    names = {group.id: group.name for group in groups}
    return {
        **short_cluster(call, record, groups),
        **{name: record.attributes.get(name) for name in CLUSTER_FIELDS},
        "status_reason": record.status_reason,
        "health_status_reason": record.observed.health_reason,
        "api_address": record.observed.api_address,
        "coe_version": record.observed.engine_version,
        "container_version": record.observed.engine_version,
        "node_addresses": [node.address for node in nodes if node.role != MASTER],
        "master_addresses": [node.address for node in nodes if node.role == MASTER],
        "nodes": [{**_node(node), "nodegroup": names.get(node.group_id)} for node in nodes],
        **({"faults": _faults(record, groups)} if failed else {}),
        **_label_changes(record.labels, made_of.labels if made_of else record.labels),
        "project_id": record.project_id,
        "user_id": record.user_id,
        "created_at": time(record.created_at),
        "updated_at": time(record.updated_at),
    }


def short_nodegroup(group: NodeGroup) -> View:
    """Return a group as lists show it."""
    return {
        "uuid": group.id,
        "name": group.name,
        "role": group.role,
        "flavor_id": group.flavor_id,
        "image_id": group.image_ref or group.image_id,
        "node_count": group.node_count,
        "min_node_count": group.min_node_count,
        "max_node_count": group.max_node_count,
        "is_default": group.is_default,
        "stack_id": group.cluster_id,
        "status": status(group.phase, group.updated_at is not None),
        "merge_labels": False,
    }


def nodegroup(call: Call, of: Cluster, group: NodeGroup) -> View:
    """Return a whole group."""
    nodes = [node for node in of.observed.nodes if node.group_id == group.id]
    return {
        **short_nodegroup(group),
        "id": _number(group.id),
        "node_labels": group.node_labels,
        "node_taints": [],
        "links": _group_links(call, group),
        "cluster_id": group.cluster_id,
        "project_id": group.project_id,
        "docker_volume_size": group.docker_volume_size,
        "labels": group.labels,
        **_label_changes(group.labels, of.labels),
        "node_addresses": [node.address for node in nodes],
        "nodes": [_node(node) for node in nodes],
        "status_reason": group.status_reason,
        "version": None,
        "created_at": time(group.created_at),
        "updated_at": time(group.updated_at),
    }


def certificate(call: Call, of: Cluster, pem: str) -> View:
    """Return a certificate."""
    return {"cluster_uuid": of.id, "pem": pem, "links": links(call, f"certificates/{of.id}")}


def offers(offered: Offers) -> View:
    """Return what clusters may be made of."""
    return {
        "images": [{"id": each.id, "name": each.name, "os_distro": each.os_distro} for each in offered.images],
        "flavors": [
            {"id": each.id, "name": each.name, "cpus": each.cpus, "memory_mb": each.memory_mb}
            for each in offered.flavors
        ],
        "networks": [{"id": each.id, "name": each.name, "external": each.external} for each in offered.networks],
        "engines": [
            {"coe": coe, "labels": [dataclasses.asdict(label) for label in labels.values()]}
            for coe, labels in offered.labels.items()
        ],
    }


def status(phase: Phase, changed: bool) -> str:
    """Return Magnum's word for a phase; `changed` tells whether the object was ever changed after its creation."""
    if phase is Phase.READY:
        return "UPDATE_COMPLETE" if changed else "CREATE_COMPLETE"
    return STATUS[phase]


def _nodes(groups: Sequence[NodeGroup], *, masters: bool) -> int:
    wanted = [group for group in groups if group.phase is not Phase.DELETING]
    return sum(group.node_count for group in wanted if (group.role == MASTER) is masters)


def _faults(record: Cluster, groups: Sequence[NodeGroup]) -> dict[str, str]:
    told = {group.name: group.status_reason or "" for group in groups if group.phase in FAILED}
    return told or {"cluster": record.status_reason or ""}


def _node(node: Node) -> View:
    """Return a node; an extension, so that who scales needs no stack to learn the ids of nodes."""
    shown = {"id": node.member_id, "name": node.name, "address": node.address, "state": node.state}
    return {**shown, "reason": node.reason} if node.reason else shown


def _number(group_id: str) -> int:
    """Return a group's number, which clients want to be an integer and nobody uses; it never changes."""
    return int(group_id[:8], 16) % (2**31 - 1) + 1


def _label_changes(labels: Mapping[str, str], parent: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {
        "labels_overridden": {key: parent[key] for key in labels if key in parent and parent[key] != labels[key]},
        "labels_added": {key: labels[key] for key in labels if key not in parent},
        "labels_skipped": {key: parent[key] for key in parent if key not in labels},
    }


def _group_links(call: Call, group: NodeGroup) -> list[dict[str, str]]:
    return links(call, f"clusters/{group.cluster_id}/nodegroups/{group.id}")


def time(at: datetime.datetime | None) -> str | None:
    """Return a time as clients want it: RFC 3339 with its offset."""
    return at.isoformat() if at else None
