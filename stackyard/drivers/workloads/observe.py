# SPDX-License-Identifier: Apache-2.0
"""From what a swarm's manager and its nodes' engines say to runs and replicas.

Called by `swarm.py`; pure. A manager learns of its tasks in batches, late; the engine of a node knows
its containers at once. So containers count first, and tasks only tell of what is not a container
(yet): waiting for a node, image refused. A task has exactly one container, hence a replica's id is
that of its task from the beginning to the end.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.drivers.workloads import reasons, spec
from stackyard.model.ports import NodeAccess, Replica, RunSeen

FAILED_KEPT = 5
FAILED_SECONDS = 600.0
_HEALTH = {"(healthy)": "running", "(unhealthy)": "unhealthy", "(health: starting)": "starting"}
_OVER = {"shutdown", "remove"}
_FAILED = {"failed", "rejected", "orphaned", "complete"}
_Known = tuple[float, Replica]  # with the time of its end (or, living, of its start)


@dataclasses.dataclass(frozen=True)
class Container:
    """A container as its node lists it; `details` is the engine's inspection, made of exited ones only.

    `proved` tells that its health check has succeeded before its engine asked for the first time. That counts for
    what is routed; what is used by name has no name before the engine's own word. `health` is state and words of one
    that is checked over the network.
    """

    node: NodeAccess
    listed: Mapping[str, Any]
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    proved: bool = False
    health: tuple[str, str] | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels of the container."""
        return self.listed.get("Labels") or {}

    @property
    def task(self) -> str:
        """Return the id of the task that it is."""
        return self.labels.get(spec.SWARM_TASK, self.listed["Id"][:25])

    @property
    def run(self) -> str:
        """Return the name of the run that it belongs to."""
        return self.labels.get(spec.SWARM_SERVICE, "")

    @property
    def slot(self) -> int:
        """Return its number among the replicas of its run, from 1."""
        return slot_of(self.labels.get(spec.SWARM_TASK_NAME, ""))

    @property
    def ended(self) -> bool:
        """Tell whether it has run and does so no longer."""
        return self.listed["State"] in {"exited", "dead"}


def slot_of(task_name: str) -> int:
    """Return the slot in swarm's `service.slot.task` (0 when there is none)."""
    parts = task_name.rsplit(".", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdigit() else 0


def runs(
    services: Sequence[Mapping[str, Any]],
    tasks: Sequence[Mapping[str, Any]],
    containers: Sequence[Container],
    lost: Mapping[str, str],
    now: float,
) -> list[RunSeen]:
    """Return all runs by name; `lost` names the nodes (by member id) that are down.

    A run whose service is gone but whose containers are not has 0 replicas wanted. Replicas that
    failed more than ten minutes before `now` (seconds of the epoch) tell nothing of the present.
    """
    found = {each["Spec"]["Name"]: _run(each) for each in services}
    for container in containers:
        found.setdefault(container.run, _remains(container))
    seen = {each.task: each for each in containers}
    told = {each["ID"]: each for each in tasks}
    names = {each["ID"]: each["Spec"]["Name"] for each in services}
    replicas = [_from_container(each, told.get(each.task)) for each in seen.values()]
    replicas += [_from_task(task, names.get(task["ServiceID"], ""), lost) for task in tasks if task["ID"] not in seen]
    known = [each for each in replicas if each is not None]
    return [
        dataclasses.replace(run, tasks=_kept([each for each in known if each[1].run == name], now))
        for name, run in sorted(found.items())
    ]


def _run(service: Mapping[str, Any]) -> RunSeen:
    asked = service["Spec"]
    seen = _labelled(asked["Name"], asked.get("Labels") or {}, spec.replicas(asked))
    return dataclasses.replace(seen, changed=spec.is_changed(asked))


def _remains(container: Container) -> RunSeen:
    return _labelled(container.run, container.labels, 0)


def _labelled(name: str, labels: Mapping[str, str], replicas: int) -> RunSeen:
    return RunSeen(
        name=name,
        app_id=labels.get(spec.APP, ""),
        service=labels.get(spec.SERVICE, ""),
        release=int(labels.get(spec.RELEASE, "0")),
        digest=labels.get(spec.DIGEST, ""),
        replicas=replicas,
        group=labels.get(spec.GROUP, ""),
    )


def _kept(replicas: Sequence[_Known], now: float) -> tuple[Replica, ...]:
    """Return the living by slot, then the newest failed ones, newest first."""
    living = sorted((each for _, each in replicas if each.state != "exited"), key=lambda each: (each.slot, each.id))
    failed = [(over, each) for over, each in replicas if each.state == "exited" and over > now - FAILED_SECONDS]
    newest = sorted(failed, key=lambda each: (-each[0], each[1].id))
    return (*living, *(each for _, each in newest[:FAILED_KEPT]))


def _from_container(container: Container, task: Mapping[str, Any] | None) -> _Known | None:
    """Return the replica, or None for one that swarm itself takes away (scaled down, replaced)."""
    told = task["Status"]["State"] if task else ""
    failed = told in _FAILED or (container.ended and told not in _OVER)
    leaving = task is not None and told not in _FAILED and task.get("DesiredState") in _OVER
    if leaving or told in _OVER or container.listed["State"] == "removing":
        return None
    inspected = container.details.get("State", {})
    endpoint = None if failed else endpoint_of(container)
    seen = Replica(
        id=container.task,
        run=container.run,
        service=container.labels.get(spec.SERVICE, ""),
        slot=container.slot,
        node=container.node.name,
        state="exited" if failed else _state(container, endpoint),
        endpoint=endpoint,
        started_at=started(container),
        reason=reasons.exit_reason(container.details, _error(task)) if failed else _lack(container),
        healthchecked="health" in container.listed["Status"] or container.health is not None,
        image=container.listed.get("ImageID", ""),
    )
    over = moment(inspected.get("FinishedAt", "")) or _over(task) or started(container)
    return over, dataclasses.replace(seen, ended_at=over) if failed else seen


def _state(container: Container, endpoint: str | None) -> str:
    state = container.listed["State"]
    if state == "paused":
        return "unhealthy"
    if state != "running" or (spec.PORT in container.labels and endpoint is None):
        return "starting"
    if container.proved and endpoint:
        return "running"
    told = next((word for mark, word in _HEALTH.items() if mark in container.listed["Status"]), "")
    return told or (container.health or ("running",))[0]


def _lack(container: Container) -> str:
    """Return what a living replica lacks, as far as its check over the network tells."""
    return container.health[1] if container.health else ""


def endpoint_of(container: Container) -> str | None:
    """Return `address:port` of the service's port on the node, once the engine has published it."""
    wanted = container.labels.get(spec.PORT)
    for port in container.listed.get("Ports") or ():
        if str(port.get("PrivatePort")) == wanted and port.get("PublicPort") and port.get("Type") == "tcp":
            return f"{container.node.address}:{port['PublicPort']}"
    return None


def started(container: Container) -> float:
    """Return when the container started, in seconds of the epoch (before it did: when it was made)."""
    exact = moment(container.details.get("State", {}).get("StartedAt", ""))
    return exact or float(container.listed["Created"])


def moment(text: str) -> float | None:
    """Return an RFC 3339 time as seconds of the epoch; None for Docker's zero time and for nothing."""
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$", text)
    if not match or text.startswith("0001"):
        return None
    base, fraction, zone = match.groups()
    whole = datetime.datetime.fromisoformat(base + ("+00:00" if zone == "Z" else zone)).timestamp()
    return whole + float(fraction or 0)


def _error(task: Mapping[str, Any] | None) -> str:
    return str(task["Status"].get("Err", "")) if task else ""


def _over(task: Mapping[str, Any] | None) -> float | None:
    return moment(task["Status"].get("Timestamp", "")) if task else None


def _from_task(task: Mapping[str, Any], run: str, lost: Mapping[str, str]) -> _Known | None:
    """Return the replica of a task that is no container on any engine that answers."""
    state, wanted = task["Status"]["State"], task.get("DesiredState", "")
    failed = state in _FAILED
    if not run or (not failed and (wanted in _OVER or state in _OVER)):
        return None
    node = lost.get(task.get("NodeID", ""))
    reason = reasons.task_reason(_error(task)) or (f"node {node} is down" if node else "")
    labels = task["Spec"].get("ContainerSpec", {}).get("Labels") or {}
    on_node = state in {"starting", "running"} and not node
    over = _over(task) or 0.0
    seen = Replica(
        id=task["ID"],
        run=run,
        service=labels.get(spec.SERVICE, ""),
        slot=task.get("Slot", 0),
        node=node or "",
        state="exited" if failed else "starting" if on_node else "pending",
        started_at=over if failed else None,
        reason=(reason or "swarm gave it up") if failed else reason,
        ended_at=over if failed else None,
    )
    return over, seen
