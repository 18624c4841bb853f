# SPDX-License-Identifier: Apache-2.0
"""Node groups: nodes of a cluster that are alike. Called by the container-infra API.

A group has no plan of its own: a change of it is a change of its cluster, which the worker brings about.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from stackyard.intents.rules import visible, within
from stackyard.model import errors
from stackyard.model.clusters import MASTER, WORKER, Cluster, NodeGroup
from stackyard.model.phase import Trigger, after
from stackyard.model.records import Caller, utcnow
from stackyard.store import Page, Store, Transaction


class NodeGroups:
    """Intents on node groups."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def list(self, cluster: Cluster, page: Page) -> list[NodeGroup]:
        """Return a page of a cluster's groups."""
        with self.store.reading() as tx:
            return tx.nodegroups.list(None, page, cluster_id=cluster.id)

    def find(self, caller: Caller, cluster: str, ident: str) -> tuple[Cluster, NodeGroup]:
        """Return a cluster and its group, each by id or name; raises NotFound."""
        with self.store.reading() as tx:
            return _find(tx, caller, cluster, ident)

    def create(self, caller: Caller, cluster: str, values: Mapping[str, Any]) -> tuple[Cluster, NodeGroup]:
        """Write a group of workers; raises Conflict when its name is taken or its counts contradict."""
        if values.get("role", WORKER) == MASTER:
            raise errors.BadInput("role must not be 'master': a cluster's masters are its default-master group")
        with self.store.transaction() as tx:
            found = visible(tx.clusters, caller, cluster)
            _check_usable(found)
            groups = tx.nodegroups.of([found.id])[found.id]
            group = _check_counts(_new(found, groups, values))
            tx.nodegroups.insert(group)
            return _touch(tx, found, f"node group {group.name} asked for"), group

    def update(self, caller: Caller, cluster: str, ident: str, values: Mapping[str, Any]) -> tuple[Cluster, NodeGroup]:
        """Change the bounds of a group; raises Conflict when its node count is beyond them."""
        with self.store.transaction() as tx:
            found, group = _find(tx, caller, cluster, ident)
            changed = _check_counts(dataclasses.replace(group, **values, **_moved(group, Trigger.CHANGE)))
            tx.nodegroups.save(changed)
            return _touch(tx, found, f"node group {group.name} changed"), changed

    def delete(self, caller: Caller, cluster: str, ident: str) -> None:
        """Ask for a group to go with its nodes; raises BadInput for a default group."""
        with self.store.transaction() as tx:
            found, group = _find(tx, caller, cluster, ident)
            if group.is_default:
                raise errors.BadInput(f"nodegroup {group.name} is a default group; resize it or delete the cluster")
            tx.nodegroups.save(dataclasses.replace(group, **_moved(group, Trigger.DELETE)))
            _touch(tx, found, f"delete of node group {group.name} asked for")


def resized(group: NodeGroup, count: int) -> NodeGroup:
    """Return the group with another count; raises BadInput beyond its bounds or for masters."""
    if group.role == MASTER:
        raise errors.BadInput("the masters of a cluster can't be resized")
    highest = group.max_node_count
    if count < group.min_node_count or (highest is not None and count > highest):
        bounds = f"{group.min_node_count} to {'any' if highest is None else highest}"
        raise errors.BadInput(f"node_count {count} is outside the bounds of group {group.name} ({bounds})")
    return dataclasses.replace(group, node_count=count, **_moved(group, Trigger.CHANGE))


def _find(tx: Transaction, caller: Caller, cluster: str, ident: str) -> tuple[Cluster, NodeGroup]:
    found = visible(tx.clusters, caller, cluster)
    for group in tx.nodegroups.of([found.id])[found.id]:
        if ident in (group.id, group.name):
            return found, group
    raise errors.NotFound(f"nodegroup '{ident}' could not be found")


def _new(cluster: Cluster, groups: list[NodeGroup], values: Mapping[str, Any]) -> NodeGroup:
    default = next((group for group in groups if group.is_default and group.role == WORKER), None)
    labels = dict(cluster.labels) if values.get("labels") is None else dict(values["labels"])
    if values.get("merge_labels"):
        labels = {**cluster.labels, **labels}
    count = values.get("node_count")
    return NodeGroup(
        cluster_id=cluster.id,
        project_id=cluster.project_id,
        name=values["name"],
        role=values.get("role") or WORKER,
        node_count=1 if count is None else count,
        min_node_count=values.get("min_node_count") or 0,
        max_node_count=values.get("max_node_count"),
        image_id=values.get("image_id") or (default.image_id if default else None),
        flavor_id=values.get("flavor_id") or (default.flavor_id if default else None),
        labels=labels,
    )


def _check_counts(group: NodeGroup) -> NodeGroup:
    highest = group.max_node_count
    if highest is not None and highest < group.min_node_count:
        raise errors.Conflict(f"max_node_count {highest} is less than min_node_count {group.min_node_count}")
    if group.node_count < group.min_node_count:
        raise errors.Conflict(f"node_count {group.node_count} is less than min_node_count {group.min_node_count}")
    if highest is not None and group.node_count > highest:
        raise errors.Conflict(f"node_count {group.node_count} is more than max_node_count {highest}")
    return group


def _check_usable(cluster: Cluster) -> None:
    if cluster.observed.api_address is None:
        raise errors.Conflict(f"cluster {cluster.name} has no api_address yet; wait until it is there")


def _moved(group: NodeGroup, trigger: Trigger) -> dict[str, Any]:
    return {"phase": after(group.phase, trigger), "status_reason": None, "updated_at": utcnow()}


def _touch(tx: Transaction, cluster: Cluster, message: str) -> Cluster:
    limit = within(cluster.create_timeout * 60) if cluster.create_timeout else None
    return tx.clusters.change(cluster, Trigger.CHANGE, message, deadline=limit)
