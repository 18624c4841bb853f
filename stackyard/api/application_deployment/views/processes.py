# SPDX-License-Identifier: Apache-2.0
"""What runs: replicas, and the members of clustered groups."""

from __future__ import annotations

from collections.abc import Mapping

from stackyard.api.application_deployment.views.form import View, moment
from stackyard.intents.groups import GroupKnown
from stackyard.model.ports import Replica, RunSeen

SYNCED = "synced"


def process(run: RunSeen, replica: Replica, loop: str = "") -> View:
    """Return one replica of a run; `loop` says why the run keeps restarting.

    `restarts` is how often its slot has stopped lately, as far as is remembered; `cpu` is a share of one core.
    """
    restarted = sum(task.slot == replica.slot and task.state == "exited" for task in run.tasks)
    return {
        "service": replica.service,
        "replica": replica.slot,
        "state": replica.state,
        "node": replica.node,
        "release": run.release,
        "image": replica.image,
        "endpoint": replica.endpoint,
        "started_at": moment(replica.started_at),
        "ended_at": moment(replica.ended_at),
        "reason": replica.reason,
        "restarts": restarted,
        "loop": loop,
        "cpu": replica.cpu,
        "memory": replica.memory,
        "memory_limit": replica.memory_limit,
    }


def group(known: GroupKnown, living: Mapping[str, Replica], reason: str | None) -> View:
    """Return a clustered group; a member is `synced` when its health check says so, else as its container is."""
    state = known.state
    members = [_member(name, living.get(name), counts=name in state.members) for name in known.members]
    whole = all(each["state"] == SYNCED for each in members)
    return {
        "name": known.name,
        "state": state.formation.value,
        "epoch": state.epoch,
        "begun_by": state.grantee or None,
        "members": members,
        "reason": None if whole else reason,
    }


def _member(name: str, replica: Replica | None, *, counts: bool) -> View:
    state = "absent" if replica is None else SYNCED if replica.state == "running" else replica.state
    return {
        "name": name,
        "state": state,
        "node": replica.node if replica else None,
        "counts": counts,
        "reason": replica.reason if replica else "",
    }
