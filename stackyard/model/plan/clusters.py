# SPDX-License-Identifier: Apache-2.0
"""From node groups asked for to machines that form one engine, through upgrades and deaths, and back to nothing.

Called by the worker at each look. Derived only from what is wanted and seen, so that it goes on wherever it was
broken off: a roll in hand is known by its draining members and by machines of which only the data is left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.model import clusters, offers
from stackyard.model.clusters import MASTER, Cluster, NodeGroup
from stackyard.model.phase import ENDING, Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan.cluster_picture import Picture
from stackyard.model.plan.cluster_steps import (
    AddMachines,
    DrainMembers,
    ForgetMembers,
    FormCluster,
    JoinMachines,
    MakeAuthority,
    MakeNetwork,
    MoveTasks,
    RecoverCluster,
    RemoveMachines,
    RemoveNetwork,
    ReplaceMachines,
    Seen,
    UpdateMembers,
    joined,
)
from stackyard.model.ports import MachineSpec, Member

SOON = 0.1
SLOW = 0.5


def plan_cluster(cluster: Cluster, groups: Sequence[NodeGroup], seen: Seen) -> list[Action]:
    """Return what is left to do for the cluster."""
    if seen.blind:
        return [Wait(seen.blind, 1.0, nudged=True)]
    if cluster.phase in ENDING:
        return _plan_removal(seen)
    if cluster.phase is Phase.READY and not heals(cluster):
        return []
    if cluster.secrets is None or cluster.observed.authority < cluster.authority:
        return [MakeAuthority()]
    if not seen.network:
        return [MakeNetwork()]
    picture = Picture(cluster, wanted_machines(cluster, groups), seen)
    return (
        _plan_machines(cluster, picture)
        or _plan_quorum(cluster, picture)
        or _plan_membership(picture)
        or _plan_settings(cluster, groups, picture)
        or _plan_surplus(cluster, picture)
        or _plan_readiness(cluster, picture)
        or _plan_roll(cluster, picture)
    )


def heals(cluster: Cluster) -> bool:
    """Tell whether nodes that died are to be replaced."""
    return offers.setting(offers.SWARM_LABELS, cluster.labels, "auto_healing_enabled") != "false"


def wanted_machines(cluster: Cluster, groups: Sequence[NodeGroup]) -> list[MachineSpec]:
    """Return the machines that the node groups ask for, managers first."""
    ordered = sorted(groups, key=lambda group: (group.role != MASTER, group.created_at, group.id))
    return [
        MachineSpec(
            name=clusters.node_name(cluster, group, number),
            cluster_id=cluster.id,
            group_id=group.id,
            role=group.role,
            image=group.image_id or "",
            cpus=group.cpus,
            memory_mb=group.memory_mb,
            volume_gb=group.docker_volume_size or 0,
            trust=cluster.trust,
        )
        for group in ordered
        if group.phase not in ENDING
        for number in clusters.numbers(group)
    ]


def _plan_removal(seen: Seen) -> list[Action]:
    if seen.machines:
        return [RemoveMachines(tuple(machine.name for machine in seen.machines))]
    return [RemoveNetwork()] if seen.network else []


def _plan_machines(cluster: Cluster, picture: Picture) -> list[Action]:
    # What is dead and outdated is not revived as it was: its image may be what killed it.
    dead = [name for name in picture.wanted if picture.dead(name) and picture.outdated(name)]
    if dead:
        return [ReplaceMachines(tuple(dead))]
    missing = [spec for spec in picture.wanted.values() if not picture.running(spec.name)]
    left = _reported(cluster, picture)
    make = tuple(spec for spec in missing if spec.name not in left)
    if make:
        return [AddMachines(make)]
    # An engine that hangs is restarted with its machine; one at a time, for it may be busy rather than dead.
    hung = [name for name in picture.wanted if name in picture.seen.stuck and name not in picture.seen.looks]
    return [ReplaceMachines((hung[0],))] if hung and heals(cluster) else []


def _reported(cluster: Cluster, picture: Picture) -> set[str]:
    """Return the dead nodes that are only to be reported, since healing is off; a roll's own are not among them."""
    if heals(cluster) or cluster.phase is not Phase.UPDATING:
        return set()
    once = {node.name for node in cluster.observed.nodes if node.member_id}
    return {name for name in picture.wanted if name in once and not picture.running(name) and not picture.absent(name)}


def _plan_quorum(cluster: Cluster, picture: Picture) -> list[Action]:
    """Have managers that agree: form a cluster where there is none, recover one that can't agree ever again."""
    if picture.seen.members:
        return []
    masters = [name for name, spec in picture.wanted.items() if spec.role == MASTER]
    silent = [name for name in masters if name not in picture.seen.looks]
    if silent:
        return [Wait(f"waiting for the engine of {joined(silent)}", SOON)]
    survivors = [name for name, look in picture.seen.looks.items() if look.member and picture.role(name) == MASTER]
    if not survivors:
        return [FormCluster(picture.machines[masters[0]])]
    agreed = {node.name for node in cluster.observed.nodes if node.member_id and node.role == MASTER}
    left = sorted(agreed & set(survivors), key=lambda name: (not picture.seen.looks[name].manages, name))
    if left and 2 * len(left) <= len(agreed):
        return [RecoverCluster(picture.machines[left[0]])]
    return [Wait(picture.seen.api or "waiting for the managers to agree", SLOW)]


def _plan_membership(picture: Picture) -> list[Action]:
    stale = tuple(member for member in picture.seen.members if picture.stale(member))
    if stale:
        return [ForgetMembers(stale)]
    fresh = tuple(picture.machines[name] for name in picture.wanted if _to_join(picture, name))
    return [JoinMachines(fresh)] if fresh else []


def _to_join(picture: Picture, name: str) -> bool:
    if name not in picture.seen.looks:
        return False
    member = picture.members.get(name)
    return member is None or (member.state == "ready" and member.role != picture.wanted[name].role)


def _plan_settings(cluster: Cluster, groups: Sequence[NodeGroup], picture: Picture) -> list[Action]:
    labels = {group.id: group.node_labels for group in groups}
    changed = []
    for name, spec in picture.wanted.items():
        member = picture.members.get(name)
        if member is None or member.state != "ready":
            continue
        # Whether an outdated member drains is the roll's affair. Labels that users gave by hand stay.
        draining = member.draining if picture.outdated(name) else False
        wish = dataclasses.replace(
            member,
            draining=draining or _stays_drained(cluster, spec),
            labels={**member.labels, **labels.get(spec.group_id, {})},
        )
        if wish != member:
            changed.append(wish)
    return [UpdateMembers(tuple(changed))] if changed else []


def _stays_drained(cluster: Cluster, spec: MachineSpec) -> bool:
    alone = offers.setting(offers.SWARM_LABELS, cluster.labels, "managers_run_services") == "false"
    return spec.role == MASTER and alone


def _plan_surplus(cluster: Cluster, picture: Picture) -> list[Action]:
    known = {member.name for member in picture.seen.members}
    gone = {machine.name for machine in picture.seen.machines} - picture.wanted.keys() - known
    if gone:
        return [RemoveMachines(tuple(sorted(gone)))]
    leaving = [member for member in picture.seen.members if member.name not in picture.wanted]
    dead = tuple(member for member in leaving if member.state != "ready")
    if dead or not leaving:
        return [ForgetMembers(dead)] if dead else []
    return _plan_drain(cluster, picture, leaving) or _plan_leave(picture, leaving)


def _plan_leave(picture: Picture, leaving: Sequence[Member]) -> list[Action]:
    """Take living members out: managers one by one, and only while the rest has a quorum without them."""
    masters = [member for member in leaving if member.role == MASTER]
    if not masters:
        return [ForgetMembers(tuple(leaving))]
    managers, ready = picture.managers
    if ready - 1 < (managers - 1) // 2 + 1:
        return [Wait(f"waiting for a quorum without {masters[0].name}", SLOW)]
    return [ForgetMembers((masters[0],))]


def _plan_readiness(cluster: Cluster, picture: Picture) -> list[Action]:
    left = _reported(cluster, picture)
    waiting = [name for name in picture.unready if name not in left]
    silent = [name for name in waiting if name not in picture.seen.looks]
    if silent:
        return [Wait(f"waiting for the engine of {joined(silent)}", SOON)]
    return [Wait(f"waiting for {joined(waiting)} to be ready", SOON)] if waiting else []


def _plan_roll(cluster: Cluster, picture: Picture) -> list[Action]:
    """Replace outdated machines: managers one at a time, then workers in batches, the next when the last is back."""
    outdated = [name for name in picture.wanted if picture.outdated(name)]
    if not outdated:
        return []
    if picture.unready:
        return [Wait(f"waiting for {joined(picture.unready)} before the next is replaced", SLOW)]
    masters = [name for name in outdated if picture.wanted[name].role == MASTER]
    managers, ready = picture.managers
    if masters and managers > 1 and ready - 1 < managers // 2 + 1:
        return [Wait(f"waiting for a quorum without {masters[0]}", SLOW)]
    members = [picture.members[name] for name in masters or outdated]
    # Those that drain already are in hand. The leader comes last, so that the managers elect another only once.
    members.sort(key=lambda member: (not member.draining, member.leader))
    batch = members[: 1 if masters else max(cluster.batch_size, 1)]
    return _plan_drain(cluster, picture, batch) or [ReplaceMachines(tuple(member.name for member in batch))]


def _plan_drain(cluster: Cluster, picture: Picture, members: Sequence[Member]) -> list[Action]:
    """Move away what runs on these members, within bounds of time; nothing where there is no place for it."""
    going = {member.name for member in members}
    if not any(member.state == "ready" and not member.draining for member in picture.staying(going)):
        return []
    busy = tuple(member for member in members if not member.draining)
    if busy:
        return [DrainMembers(busy)]
    limit = int(offers.setting(offers.SWARM_LABELS, cluster.labels, "drain_seconds"))
    moving = [member for member in members if member.tasks and member.settled_seconds < limit]
    names = joined(member.name for member in moving)
    return [MoveTasks(f"waiting for what runs on {names} to move", SLOW)] if moving else []
