# SPDX-License-Identifier: Apache-2.0
"""From a service that is a clustered group to its members, each of which runs as a service of its own.

Used by whatever makes runs of releases. Nothing in a member depends on its role or on the number of members, so
neither a recovery nor a new size of the group touches those that are there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from stackyard.model.applications import HealthCheck, Mount, Service
from stackyard.model.groups import Group, GroupState, member_names, volume_of
from stackyard.model.ports import Run

GROUP, MEMBER = "STACKYARD_GROUP", "STACKYARD_MEMBER"
MONTH = 30 * 86400.0
READY = HealthCheck(("CMD", "stackyard-group", "ready"), interval=2.0, timeout=10.0, retries=15, start_period=MONTH)
"""A member has its names only while it is synced. It may wait for long, but not fall out of the group for long."""


def members_of(service: Service, replicas: int) -> list[Service]:
    """Return the members of a group, or the service itself where it is none."""
    if service.group is None:
        return [service]
    return [_member(service, name) for name in member_names(service.name, replicas)]


def _member(service: Service, name: str) -> Service:
    return dataclasses.replace(
        service,
        name=name,
        replicas=1,
        port=None,
        mounts=tuple(Mount(volume_of(each.volume, name), each.target, each.read_only) for each in service.mounts),
        environment={**service.environment, GROUP: service.name, MEMBER: name},
        healthcheck=service.healthcheck or READY,
        group=Group(member_of=service.name),
    )


def expanded(services: Sequence[Service], scale: Mapping[str, int]) -> list[Service]:
    """Return what is to run of a release's services: groups as their members."""
    return [member for each in services for member in members_of(each, scale.get(each.name, each.replicas))]


def node_for(run: Run, runs: Iterable[Run], pins: Mapping[str, str], nodes: Sequence[str]) -> str:
    """Return the node for the volumes of a run: away from other members of its group, then where the fewest are."""
    others = [each for each in runs if each.service.name != run.service.name]
    group = run.service.group_name
    near = [pins.get(each.service.name) for each in others if group and each.service.group_name == group]
    all_pins = [pins.get(each.service.name) for each in others]
    return min(nodes, key=lambda name: (near.count(name), all_pins.count(name), name))


def state_of(groups: Mapping[str, GroupState], name: str) -> GroupState:
    """Return what is known of a group."""
    return groups.get(name, GroupState())
