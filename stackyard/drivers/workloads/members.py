# SPDX-License-Identifier: Apache-2.0
"""Members of clustered groups on Docker: implements the port Members by commands run in their containers.

Called by the worker's groups. The commands are the contract that images of groups obey: docs/groups.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.drivers.engines.frames import unframed
from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.model import errors
from stackyard.model.groups import Grant, MemberSeen, Position
from stackyard.model.ports import ClusterAccess, Replica

COMMAND = "stackyard-group"
SECONDS = 10.0
LONGEST = 65536
STATES = ("preparing", "waiting", "started")


class SwarmMembers:
    """Speaks with members by their nodes' engines."""

    def look(self, access: ClusterAccess, replica: Replica) -> MemberSeen | None:
        """Return what `stackyard-group status` says; None where there is no container, or it can't say."""
        try:
            code, output = _run(access, replica, [COMMAND, "status"])
        except errors.StackyardError:
            return None  # it comes or goes, or its node does
        return seen(output) if code == 0 else None

    def grant(self, access: ClusterAccess, replica: Replica, grant: Grant) -> bool:
        """Run `stackyard-group grant`; return whether the member took it."""
        words = json.dumps({"epoch": grant.epoch, "incarnation": grant.incarnation})
        return _run(access, replica, [COMMAND, "grant", words])[0] == 0


def seen(output: bytes) -> MemberSeen | None:
    """Return what a status in JSON says; None where it is none."""
    try:
        said = json.loads(output)
        state, start = str(said["state"]), str(said["incarnation"])
        place = _position(said.get("position"))
    except (ValueError, KeyError, TypeError):
        return None
    if state not in STATES:
        return None
    return MemberSeen(start, state, place, said.get("primary") is True, said.get("synced") is True)


def _position(said: Mapping[str, Any] | None) -> Position | None:
    return Position(str(said["uuid"]), int(said["seqno"])) if said else None


def _run(access: ClusterAccess, replica: Replica, command: Sequence[str]) -> tuple[int, bytes]:
    """Run a command in a replica's container; return its exit code and what it wrote; raises NotFound, Unavailable."""
    node = next((each for each in access.nodes if each.name == replica.node), None)
    if node is None:
        raise errors.NotFound(f"node {replica.node} is gone")
    engine = NodeEngine(node)
    found = engine.get("/containers/json", filters=labelled(f"{spec.SWARM_TASK}={replica.id}"))
    if not found:
        raise errors.NotFound(f"{replica.service} does not run")
    path = engine.exec(found[0]["Id"], command, AttachStdout=True)
    output = engine.collect(f"{path}/start", {"Detach": False, "Tty": False}, SECONDS)[:LONGEST]
    code = engine.get(f"{path}/json")["ExitCode"]
    return -1 if code is None else int(code), unframed(output)
