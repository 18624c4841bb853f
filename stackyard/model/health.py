# SPDX-License-Identifier: Apache-2.0
"""What a look at a cluster says of its nodes and of the whole: each node's state, why it is not ready, health.

Called by the worker, which notes it at every look; plans nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.model import clusters
from stackyard.model.clusters import MASTER, Cluster, ClusterObserved, Node, NodeGroup
from stackyard.model.phase import ENDING, Phase
from stackyard.model.plan.cluster_picture import Picture
from stackyard.model.plan.cluster_steps import Seen
from stackyard.model.plan.clusters import wanted_machines

HEALTHY, UNHEALTHY, UNKNOWN = "HEALTHY", "UNHEALTHY", "UNKNOWN"
ALIVE = ("ready", "draining")
NO_MANAGER = "no manager of the cluster answers"
NOT_LIMITED = "not enforced: this host's Docker can't limit the size of a volume"


def noted(cluster: Cluster, groups: Sequence[NodeGroup], seen: Seen) -> ClusterObserved:
    """Return what is observed of the cluster now: nodes, health, and where its API answers."""
    before = cluster.observed
    if seen.blind:
        return dataclasses.replace(before, health=UNKNOWN, health_reason={"api": f"unknown: {seen.blind}"})
    picture = Picture(cluster, wanted_machines(cluster, groups), seen)
    nodes = _nodes(cluster, picture)
    reasons = _reasons(picture, {node.name: node for node in nodes})
    health = HEALTHY if all(_fine(name, reason) for name, reason in reasons.items()) else UNHEALTHY
    if cluster.phase is Phase.CREATING:
        # Others take what is listed for nodes that they can use: until all is made, those are the members.
        nodes = [node for node in nodes if node.member_id]
        health = health if nodes else UNKNOWN
    observed = dataclasses.replace(before, nodes=tuple(nodes), health=health, health_reason=reasons)
    return _with_api(observed, picture)


def faults(cluster: Cluster, group: NodeGroup) -> dict[str, str]:
    """Return the nodes of a group that are not as wanted, each with the reason, as last observed."""
    nodes = {node.name: node for node in cluster.observed.nodes if node.group_id == group.id}
    if group.phase in ENDING:
        return dict.fromkeys(nodes, "it is not gone yet")
    wanted = [clusters.node_name(cluster, group, number) for number in clusters.numbers(group)]
    told = {name: cluster.observed.health_reason.get(f"{name}.Ready", "False: it was not made") for name in wanted}
    bad = {name: reason.removeprefix("False: ") for name, reason in told.items() if reason != "True"}
    outdated = {name: nodes[name].reason for name in wanted if name in nodes and nodes[name].reason}
    return {**outdated, **bad}


def _nodes(cluster: Cluster, picture: Picture) -> list[Node]:
    before = {node.name: node for node in cluster.observed.nodes}
    others = sorted(picture.machines.keys() - picture.wanted.keys())
    there = [name for name in [*picture.wanted, *others] if name in picture.machines or name in before]
    return [_node(name, picture, before.get(name)) for name in there]


def _node(name: str, picture: Picture, before: Node | None) -> Node:
    state, reason = _state(name, picture, before)
    member = picture.members.get(name)
    # While the managers don't agree nobody knows the members: those of the last look still count.
    member_id = member.id if member else before.member_id if before and not picture.seen.members else None
    machine = picture.machines.get(name)
    if machine is None:
        assert before is not None
        return dataclasses.replace(before, state=state, reason=reason, member_id=member_id)
    address = machine.address or (before.address if before else "")
    return Node(name, machine.group_id, machine.role, address, state, member_id, machine.trust, reason)


def _state(name: str, picture: Picture, before: Node | None) -> tuple[str, str]:
    """Return a node's state, and why it is not as wanted."""
    if not picture.running(name):
        return _without_machine(name, picture)
    if name not in picture.seen.looks:
        return "starting", picture.seen.errors.get(name, "its engine does not answer")
    if picture.seen.members:
        return _standing(name, picture)
    # Nobody can tell who is a member now; a worker goes on working meanwhile as it did.
    if before and before.state in ALIVE and before.role != MASTER:
        return before.state, before.reason
    return "down", picture.seen.api or NO_MANAGER


def _without_machine(name: str, picture: Picture) -> tuple[str, str]:
    if name not in picture.machines:
        return "absent", "its machine is gone"
    if picture.absent(name):
        return "absent", "its machine is being replaced"
    return "down", f"its machine {picture.machines[name].state}"


def _standing(name: str, picture: Picture) -> tuple[str, str]:
    """Return the state of a node as the cluster's managers see it."""
    member, look = picture.members.get(name), picture.seen.looks[name]
    if member is None or not look.member:
        return "joining", "it is not a member of the cluster yet"
    if member.state != "ready":
        return "down", f"the cluster's managers see it as {member.state}"
    if member.role == MASTER and not look.manages:
        return "joining", "it is not one of the managers yet"
    outdated = name in picture.wanted and picture.outdated(name)
    return "draining" if member.draining else "ready", "it has yet to be replaced by a new one" if outdated else ""


def _reasons(picture: Picture, nodes: dict[str, Node]) -> dict[str, str]:
    reasons = {}
    for name in picture.wanted:
        node = nodes.get(name)
        alive = node is not None and node.state in ALIVE
        reasons[f"{name}.Ready"] = "True" if alive else f"False: {node.reason if node else 'it is not made yet'}"
    reasons["api"] = "ok" if picture.seen.members else picture.seen.api or NO_MANAGER
    if any(not machine.limited for name, machine in picture.machines.items() if name in picture.wanted):
        reasons["docker_volume_size"] = NOT_LIMITED
    return reasons


def _fine(name: str, reason: str) -> bool:
    return name == "docker_volume_size" or reason in ("True", "ok")


def _with_api(observed: ClusterObserved, picture: Picture) -> ClusterObserved:
    """Return it with the address of a manager that answers: the same as before while that does."""
    ready = [node for node in observed.nodes if node.role == MASTER and picture.ready(node.name)]
    if not ready:
        return observed
    addresses = [f"tcp://{node.address}:2376" for node in ready]
    version = picture.seen.looks[ready[0].name].version
    address = observed.api_address if observed.api_address in addresses else addresses[0]
    return dataclasses.replace(observed, api_address=address, engine_version=version)
