# SPDX-License-Identifier: Apache-2.0
"""Where a run's first tasks go: to nodes that already have the application's network, where there are enough.

Used by `swarm.py`; pure. Making an overlay network on a node takes the engine longer than starting a
container, and swarm does so on a node whenever the first task of an application comes to it. So a
run avoids the other nodes until its tasks have their nodes; then the constraint goes, and swarm
may move them anywhere when a node fails. (A change of constraints that a task's node satisfies restarts nothing.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stackyard.model.ports import ClusterAccess, NodeAccess, Run


def down(members: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names of the members that the swarm knows to be down, by id."""
    return {each["ID"]: each["Description"]["Hostname"] for each in members if each["Status"]["State"] == "down"}


def eligible(access: ClusterAccess, run: Run, members: Sequence[Mapping[str, Any]]) -> list[NodeAccess]:
    """Return the nodes that may run the run: ready, not draining, and the pinned one where there is one."""
    ready = {
        each["Description"]["Hostname"]
        for each in members
        if each["Status"]["State"] == "ready" and each["Spec"]["Availability"] == "active"
    }
    wanted = ready & {run.pin} if run.pin else ready
    return [node for node in access.nodes if node.name in wanted]


def avoided(run: Run, nodes: Collection[str], warm: Collection[str]) -> list[str]:
    """Return the nodes to be avoided at first: none unless there is a warm node for each replica."""
    if run.pin or not run.replicas or len(set(warm)) < run.replicas:
        return []
    return sorted(set(nodes) - set(warm))


def lasting(run: Run) -> list[str]:
    """Return the constraints that hold as long as the run does."""
    return [f"node.hostname=={run.pin}"] if run.pin else []


def placed(tasks: Sequence[Mapping[str, Any]], replicas: int) -> bool:
    """Tell whether swarm has decided: as many tasks as wanted shall run, and each has its node."""
    wanted = [each for each in tasks if each.get("DesiredState") in {"running", "ready"}]
    return len(wanted) == replicas and all(each.get("NodeID") for each in wanted)
