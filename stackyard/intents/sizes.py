# SPDX-License-Identifier: Apache-2.0
"""How many nodes a group has and which ones go: counts, bounds, nodes named for removal, nodes that hold volumes.

Used by the intents on clusters and node groups. Nodes are numbers here: their names follow from ids.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.model import errors
from stackyard.model.clusters import MASTER, Cluster, NodeGroup, node_name, numbers
from stackyard.model.phase import ENDING, Trigger, after
from stackyard.model.records import utcnow
from stackyard.store import Transaction

MAX_MASTERS = 7
"""Each manager more makes every decision of the quorum slower; Swarm's own documentation draws the line here."""

Pins = Mapping[str, str]
"""Applications by the name of the node that holds their volumes."""


def pins(tx: Transaction, cluster: Cluster) -> Pins:
    """Return which nodes of a cluster hold an application's volumes."""
    deployments = tx.deployments.list(None, cluster_id=cluster.id)
    return {node: deployment.name for deployment in deployments for node in deployment.pins.values()}


def moved(group: NodeGroup, trigger: Trigger) -> dict[str, Any]:
    """Return what a change or delete does to a group's state; raises Conflict when its phase forbids it."""
    if trigger is Trigger.CHANGE and group.phase in ENDING:
        raise errors.Conflict(f"nodegroup {group.name} is being deleted")
    return {"phase": after(group.phase, trigger), "status_reason": None, "updated_at": utcnow()}


def check_masters(count: int) -> None:
    """Raise BadInput for a number of masters that can't form a sound quorum."""
    if count % 2 == 0:
        raise errors.BadInput(f"the number of masters must be odd: {count} can't agree when half of them fail")
    if count > MAX_MASTERS:
        raise errors.BadInput(f"the number of masters must be at most {MAX_MASTERS}: more make a quorum slower")


def resized(cluster: Cluster, group: NodeGroup, count: int, leaving: Sequence[str], held: Pins) -> NodeGroup:
    """Return the group with another count, without the nodes `leaving` (names, member ids or addresses).

    Raises BadInput for a count beyond its bounds or a node that it has not, Conflict when nodes that would have to
    go hold the volumes of applications.
    """
    _check_bounds(group, count)
    kept = _without(cluster, group, leaving, held)
    if leaving and count > len(kept):
        raise errors.BadInput(f"node_count must be at most {len(kept)} when {len(leaving)} nodes are removed")
    kept = _shrunk(cluster, group, kept, len(kept) - count, held) if count < len(kept) else _grown(kept, count)
    gaps = tuple(number for number in range(max(kept, default=0)) if number not in kept)
    return dataclasses.replace(group, node_count=count, gaps=gaps, **moved(group, Trigger.CHANGE))


def check_free(cluster: Cluster, group: NodeGroup, held: Pins) -> None:
    """Raise Conflict when a node of the group holds the volumes of an application."""
    _refuse_held(held, [node_name(cluster, group, number) for number in numbers(group)])


def _check_bounds(group: NodeGroup, count: int) -> None:
    if group.role == MASTER:
        check_masters(count)
    highest = group.max_node_count
    if count < group.min_node_count or (highest is not None and count > highest):
        bounds = f"min_node_count = {group.min_node_count}, max_node_count = {highest}"
        raise errors.BadInput(f"Resizing {group.name} outside the allowed range: {bounds}")


def _without(cluster: Cluster, group: NodeGroup, leaving: Sequence[str], held: Pins) -> list[int]:
    """Return the group's numbers without those of the nodes named."""
    names = {node_name(cluster, group, number): number for number in numbers(group)}
    going = {_name(cluster, group, names, ident) for ident in leaving}
    _refuse_held(held, sorted(going))
    return [number for name, number in names.items() if name not in going]


def _name(cluster: Cluster, group: NodeGroup, names: Mapping[str, int], ident: str) -> str:
    seen = [node for node in cluster.observed.nodes if node.group_id == group.id]
    meant = [node.name for node in seen if ident in (node.member_id, node.address)]
    for name in (ident, *meant):
        if name in names:
            return name
    have = ", ".join(list(names)[:20]) or "none"
    raise errors.BadInput(f"node '{ident[:64]}' is not one of nodegroup {group.name}; its nodes are: {have}")


def _refuse_held(held: Pins, names: Sequence[str]) -> None:
    found = [name for name in names if name in held]
    if found:
        apps = ", ".join(sorted({held[name] for name in found})[:10])
        raise errors.Conflict(
            f"nodes {', '.join(found[:10])} hold volumes of applications: {apps}. Keep them, or destroy these first"
        )


def _shrunk(cluster: Cluster, group: NodeGroup, kept: list[int], surplus: int, held: Pins) -> list[int]:
    """Return the numbers that stay: nodes that are down go first, then the newest; none that holds a volume."""
    down = {node.name for node in cluster.observed.nodes if node.state in ("down", "absent")}
    names = {number: node_name(cluster, group, number) for number in kept}
    free = [number for number in kept if names[number] not in held]
    if len(free) < surplus:
        _refuse_held(held, list(names.values()))
    order = sorted(free, key=lambda number: (names[number] not in down, -number))
    return [number for number in kept if number not in order[:surplus]]


def _grown(kept: list[int], count: int) -> list[int]:
    free = (number for number in itertools.count() if number not in kept)
    return sorted([*kept, *itertools.islice(free, count - len(kept))])
