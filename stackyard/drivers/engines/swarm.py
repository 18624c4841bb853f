# SPDX-License-Identifier: Apache-2.0
"""Docker Swarm (SwarmKit, in the Engine since 1.12): the `Engine` port.

Used by the worker to make one cluster of several machines; knows nothing of what runs on it. The secret tokens
by which nodes join are asked of a manager when they are needed, and kept nowhere.
"""

from __future__ import annotations

import collections
import datetime
import time
from collections.abc import Mapping
from typing import Any

import docker
import docker.errors
import requests

from stackyard.drivers.engines.connection import TIMEOUT, clock, connect
from stackyard.drivers.engines.failures import plainly, words
from stackyard.drivers.engines.pools import SUBNET_SIZE, overlay_pool
from stackyard.drivers.machines.subnets import host_routes
from stackyard.model import errors
from stackyard.model.clusters import MASTER
from stackyard.model.ports import Look, Member, NodeAccess

LOOK_SECONDS = 2
MEMBERS_SECONDS = 5  # a manager that is losing its quorum would take 20 s to say so
DEMOTE_SECONDS = 15
RAFT_PORT = 2377
TASK_HISTORY = 5  # a crash loop must be seen to be one
SETTLED = ("active", "pending")
NO_MANAGER = "not a swarm manager"
NO_WORD = "the engine answers, but not for its swarm"
NO_LEADER = "does not have a leader"
BEING_PREPARED = "being prepared"
AT_WORK = ("assigned", "accepted", "preparing", "ready", "starting", "running")
"""States of tasks that a node has been given and that have not ended."""


class SwarmEngine:
    """Forms swarms; keeps no state of its own."""

    def look(self, node: NodeAccess) -> Look | None:
        """Return what the node's Engine says of itself, None while it does not answer."""
        try:
            return _look(node)
        except requests.exceptions.SSLError as error:
            raise errors.Unavailable(f"the engine of {node.name} has another certificate authority: {error}") from error
        except (docker.errors.DockerException, requests.RequestException, OSError):
            return None

    def members(self, node: NodeAccess) -> list[Member]:
        """Return the members as this manager sees them; empty when the node is no manager of a swarm."""
        with plainly(f"listing the members seen by {node.name}"):
            api = _api(node, MEMBERS_SECONDS)
            found = _listed(api)
            tasks, now = _tasks(api) if found else {}, clock(api, MEMBERS_SECONDS)
        members = [_member(entry, tasks.get(entry["ID"], 0), now) for entry in found]
        return sorted(members, key=lambda member: (member.name, member.id))

    def init(self, node: NodeAccess) -> None:
        """Form a new swarm of this node; leaves one that it belongs to without managing it."""
        with plainly(f"forming a swarm on {node.name}"):
            api = _api(node)
            seen = _swarm(api)
            if seen["ControlAvailable"] or _listed(api):
                return
            _leave(api, seen)
            api.init_swarm(
                advertise_addr=node.address,
                listen_addr=f"0.0.0.0:{RAFT_PORT}",
                default_addr_pool=[overlay_pool(node.address, host_routes())],
                subnet_size=SUBNET_SIZE,
                swarm_spec=api.create_swarm_spec(task_history_retention_limit=TASK_HISTORY, autolock_managers=False),
            )

    def join(self, node: NodeAccess, manager: NodeAccess) -> None:
        """Make `node` a member in its role; one that belongs to another (or a dead) swarm leaves that first."""
        with plainly(f"joining {node.name} to the swarm of {manager.name}"):
            api, leader = _api(node), _api(manager)
            seen = _swarm(api)
            if seen["LocalNodeState"] in SETTLED and _knows(leader, seen["NodeID"]):
                _update(leader, seen["NodeID"], Role="manager" if node.role == MASTER else "worker")
                return
            _leave(api, seen)
            tokens = leader.inspect_swarm()["JoinTokens"]
            api.join_swarm(
                remote_addrs=[f"{manager.address}:{RAFT_PORT}"],
                join_token=tokens["Manager" if node.role == MASTER else "Worker"],
                advertise_addr=node.address,
                listen_addr=f"0.0.0.0:{RAFT_PORT}",
            )

    def update(self, manager: NodeAccess, member: Member) -> None:
        """Bring the member's availability and labels to what is given; sends nothing when they are so."""
        with plainly(f"changing the settings of {member.name}"):
            availability = "drain" if member.draining else "active"
            _update(_api(manager), member.id, Availability=availability, Labels=dict(member.labels))

    def recover(self, node: NodeAccess) -> None:
        """Let this manager go on alone with all that the swarm knew, unless its swarm has a leader.

        The others stay listed until they are forgotten. (docker swarm init --force-new-cluster)
        """
        with plainly(f"recovering the swarm on {node.name}"):
            if _led(_api(node, MEMBERS_SECONDS)):
                return
            api = _api(node)
            api.init_swarm(advertise_addr=node.address, listen_addr=f"0.0.0.0:{RAFT_PORT}", force_new_cluster=True)

    def forget(self, manager: NodeAccess, member: Member) -> None:
        """Take the member out of the list, demoting a manager first; refuses the last manager (Unavailable)."""
        with plainly(f"forgetting {member.name}"):
            api = _api(manager)
            _update(api, member.id, Role="worker")
            deadline = time.monotonic() + DEMOTE_SECONDS
            while True:
                try:
                    api.remove_node(member.id, force=True)
                except docker.errors.NotFound:
                    return
                except docker.errors.APIError as error:
                    # A demoted manager is still in the raft cluster for a moment.
                    if "must be demoted" not in words(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)


def _api(node: NodeAccess, timeout: float = TIMEOUT) -> docker.APIClient:
    return connect(node, timeout).api


def _look(node: NodeAccess) -> Look:
    api = _api(node, LOOK_SECONDS)
    try:
        info = api.info()
    except requests.exceptions.ReadTimeout:
        # A manager whose quorum is going answers for half a minute nothing that has to do with its swarm.
        return Look(api.version()["Version"], member=True, manages=node.role == MASTER, error=NO_WORD)
    swarm = info["Swarm"]
    member = swarm["LocalNodeState"] != "inactive"
    return Look(info["ServerVersion"], member, bool(swarm["ControlAvailable"]), swarm.get("Error", ""))


def _swarm(api: docker.APIClient) -> dict[str, Any]:
    return dict(api.info()["Swarm"])


def _tasks(api: docker.APIClient) -> Mapping[str, int]:
    """Return how many tasks of services each node (id) has at work."""
    # What a service no longer wants counts until it has ended, too.
    listed: Any = api.tasks()  # type: ignore[no-untyped-call]
    found = [task for task in listed if task["Status"]["State"] in AT_WORK and task.get("ServiceID")]
    return collections.Counter(task.get("NodeID", "") for task in found)


def _listed(api: docker.APIClient) -> list[dict[str, Any]]:
    """Return the nodes that a manager lists, none where there is no manager; raises while one is coming up."""
    try:
        found: list[dict[str, Any]] = api.nodes()
    except docker.errors.APIError as error:
        # A manager that has not found its quorum yet is not to be taken for a blank one: it holds all that is known.
        if NO_MANAGER in words(error) and BEING_PREPARED not in words(error):
            return []
        raise
    return found


def _led(api: docker.APIClient) -> bool:
    """Tell whether this manager's swarm has a leader; raises GiveUp when it is no manager at all.

    Silence is no answer: going on alone without need would tear a slow but healthy swarm apart.
    """
    try:
        found = _listed(api)
    except docker.errors.APIError as error:
        if NO_LEADER in words(error) or BEING_PREPARED in words(error):
            return False
        raise
    if not found:
        raise errors.GiveUp("the node is no manager of a swarm")
    return True


def _leave(api: docker.APIClient, seen: dict[str, Any]) -> None:
    if seen["LocalNodeState"] != "inactive":
        api.leave_swarm(force=True)


def _knows(manager: docker.APIClient, node_id: str) -> bool:
    try:
        return bool(node_id) and manager.inspect_node(node_id)["Status"]["State"] != "down"
    except docker.errors.NotFound:
        return False


def _update(manager: docker.APIClient, node_id: str, **changes: Any) -> None:
    """Change a node's spec; the swarm's own changes of it in between make the version stale, so look again."""
    for attempt in range(10):
        try:
            seen = manager.inspect_node(node_id)
            if seen["Spec"] == seen["Spec"] | changes:
                return
            manager.update_node(node_id, seen["Version"]["Index"], seen["Spec"] | changes)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if "out of sequence" not in words(error) or attempt == 9:
                raise
            time.sleep(0.05)
        else:
            return


def _member(entry: dict[str, Any], tasks: int, now: float) -> Member:
    manager = entry.get("ManagerStatus") or {}
    address = str(manager.get("Addr", "")).rpartition(":")[0] or entry["Status"].get("Addr", "")
    state = _state(entry)
    return Member(
        id=entry["ID"],
        name=entry["Description"].get("Hostname") or entry["ID"],  # it may have been lost before it told its name
        role=MASTER if entry["Spec"]["Role"] == "manager" else "worker",
        state=state,
        address=address,
        draining=entry["Spec"]["Availability"] == "drain",
        leader=bool(manager.get("Leader")),
        labels=dict(entry["Spec"].get("Labels") or {}),
        tasks=0 if state == "down" else tasks,  # a dead node's tasks are listed as they last were
        settled_seconds=max(0.0, now - _seconds(entry["UpdatedAt"])),
    )


def _state(entry: dict[str, Any]) -> str:
    """Return ready, down or unknown; a manager is ready when it counts for the quorum, too."""
    state = str(entry["Status"]["State"])
    voting = entry["Spec"]["Role"] != "manager" or (entry.get("ManagerStatus") or {}).get("Reachability") == "reachable"
    return "unknown" if state == "ready" and not voting else state if state in ("ready", "down") else "unknown"


def _seconds(time_of_engine: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time with nanoseconds, in UTC."""
    return datetime.datetime.fromisoformat(time_of_engine[:19] + "+00:00").timestamp()
