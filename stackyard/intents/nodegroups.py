# SPDX-License-Identifier: Apache-2.0
"""Node groups: nodes of a cluster that are alike. Called by the container-infra API.

A group has no plan of its own: a change of it is a change of its cluster, which the worker brings about. What is
asked for while another change is in progress joins it; nothing is refused for that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.intents import sizes
from stackyard.intents.rules import Rules, check_labels, deadline, visible
from stackyard.model import errors, offers
from stackyard.model.clusters import MASTER, WORKER, Cluster, NodeGroup
from stackyard.model.phase import FAILED, Phase, Trigger
from stackyard.model.records import Caller
from stackyard.store import Page, Store, Transaction


class NodeGroups:
    """Intents on node groups."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def list(self, cluster: Cluster, page: Page, role: str | None = None) -> list[NodeGroup]:
        """Return a page of a cluster's groups, of one role where it is given; raises NotFound for the marker.

        A cluster has few groups: `page.sort` may be any of their fields.
        """
        with self.store.reading() as tx:
            groups = tx.nodegroups.of([cluster.id])[cluster.id]
        groups.sort(key=lambda group: _order(group, page.sort), reverse=page.descending)
        if page.marker:
            groups = groups[groups.index(meant(groups, page.marker)) + 1 :]
        return [group for group in groups if role in (None, group.role)][: page.limit]

    def find(self, caller: Caller, cluster: str, ident: str) -> tuple[Cluster, NodeGroup]:
        """Return a cluster and its group, each by id or name; raises NotFound."""
        with self.store.reading() as tx:
            found = visible(tx.clusters, caller, cluster)
            return found, meant(tx.nodegroups.of([found.id])[found.id], ident)

    def create(self, caller: Caller, cluster: str, values: Mapping[str, Any]) -> tuple[Cluster, NodeGroup]:
        """Write a group of workers; raises Conflict when its name is taken or its counts contradict."""
        if values.get("role") == MASTER:
            raise errors.BadInput("role must not be 'master': a cluster's masters are its default-master group")
        with self.store.transaction() as tx:
            found = visible(tx.clusters, caller, cluster)
            _check_usable(found)
            found, groups = begin(tx, found, f"node group {values['name']} asked for")
            group = _check_counts(self._new(found, groups, values))
            tx.nodegroups.insert(group)
            return found, group

    def update(self, caller: Caller, cluster: str, ident: str, values: Mapping[str, Any]) -> tuple[Cluster, NodeGroup]:
        """Change bounds or node labels of a group; raises Conflict when its node count is beyond them."""
        with self.store.transaction() as tx:
            found = visible(tx.clusters, caller, cluster)
            found, groups = begin(tx, found, f"change of node group {ident} asked for")
            group = meant(groups, ident)
            if group.role == MASTER and values.get("node_labels"):
                raise errors.Conflict("node_labels may not be set on master nodegroups")
            changed = _check_counts(dataclasses.replace(group, **values, **sizes.moved(group, Trigger.CHANGE)))
            tx.nodegroups.save(changed)
            return found, changed

    def delete(self, caller: Caller, cluster: str, ident: str) -> None:
        """Ask for a group to go with its nodes; raises BadInput for a default group, Conflict for held volumes."""
        with self.store.transaction() as tx:
            found = visible(tx.clusters, caller, cluster)
            found, groups = begin(tx, found, f"delete of node group {ident} asked for")
            group = meant(groups, ident)
            if group.is_default:
                raise errors.BadInput(
                    f"Deleting a default nodegroup is not supported: {group.name} goes with its cluster"
                )
            sizes.check_free(found, group, sizes.pins(tx, found))
            tx.nodegroups.save(dataclasses.replace(group, **sizes.moved(group, Trigger.DELETE)))

    def _new(self, cluster: Cluster, groups: Sequence[NodeGroup], values: Mapping[str, Any]) -> NodeGroup:
        default = meant(groups, None)
        labels = _labels(cluster, values)
        check_labels(self.rules, cluster.coe, labels)
        count = values.get("node_count")
        return NodeGroup(
            cluster_id=cluster.id,
            project_id=cluster.project_id,
            name=values["name"],
            role=values.get("role") or WORKER,
            node_count=1 if count is None else count,
            min_node_count=values.get("min_node_count") or 0,
            max_node_count=values.get("max_node_count"),
            docker_volume_size=values.get("docker_volume_size") or default.docker_volume_size,
            labels=labels,
            node_labels=dict(values.get("node_labels") or {}),
            **self._image(default, values.get("image_id")),
            **self._flavor(default, values.get("flavor_id")),
        )

    def _image(self, default: NodeGroup, asked: str | None) -> dict[str, Any]:
        if asked is None:
            return {"image_id": default.image_id, "image_ref": default.image_ref}
        return image(self.rules, asked)

    def _flavor(self, default: NodeGroup, asked: str | None) -> dict[str, Any]:
        if asked is None:
            return {"flavor_id": default.flavor_id, "cpus": default.cpus, "memory_mb": default.memory_mb}
        return flavor(self.rules, asked)


def image(rules: Rules, ident: str) -> dict[str, Any]:
    """Return a group's fields for an image; raises BadInput when it is not known."""
    return {"image_id": offers.find(rules.offers.images, ident, "image").name, "image_ref": ident}


def flavor(rules: Rules, ident: str | None) -> dict[str, Any]:
    """Return a group's fields for a flavor (None: no limits); raises BadInput when it is not known."""
    if ident is None:
        return {"flavor_id": None, "cpus": 0.0, "memory_mb": 0}
    found = offers.find(rules.offers.flavors, ident, "flavor")
    return {"flavor_id": ident, "cpus": found.cpus, "memory_mb": found.memory_mb}


def begin(tx: Transaction, cluster: Cluster, message: str, **fields: object) -> tuple[Cluster, list[NodeGroup]]:
    """Write a change of a cluster; return it and its groups as they are now, what had failed being taken up again.

    The cluster's row is locked from here on, so that two requests at once see each other's groups.
    """
    changed = tx.clusters.change(cluster, Trigger.CHANGE, message, deadline=deadline(cluster), **fields)
    return changed, [_taken_up(tx, group) for group in tx.nodegroups.of([cluster.id])[cluster.id]]


def meant(groups: Sequence[NodeGroup], ident: str | None) -> NodeGroup:
    """Return the group of this id or name (None: the default workers); raises NotFound."""
    by_id = [group for group in groups if group.id == ident]
    by_name = [group for group in groups if group.name == (ident or f"default-{WORKER}")]
    for group in (*by_id, *by_name):
        return group
    raise errors.NotFound(f"nodegroup '{(ident or '')[:64]}' could not be found")


def _order(group: NodeGroup, field: str) -> tuple[Any, ...]:
    value = getattr(group, field)
    return (False, group.created_at) if value is None else (True, value, group.created_at)


def _taken_up(tx: Transaction, group: NodeGroup) -> NodeGroup:
    if group.phase not in FAILED:
        return group
    again = Trigger.DELETE if group.phase is Phase.DELETE_FAILED else Trigger.CHANGE
    retried = dataclasses.replace(group, **sizes.moved(group, again))
    tx.nodegroups.save(retried)
    return retried


def _labels(cluster: Cluster, values: Mapping[str, Any]) -> dict[str, str]:
    if values.get("labels") is None:
        return dict(cluster.labels)
    given: Mapping[str, str] = values["labels"]
    return {**cluster.labels, **given} if values.get("merge_labels") else dict(given)


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
