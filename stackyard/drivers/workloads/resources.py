# SPDX-License-Identifier: Apache-2.0
"""Making and removing what an application has on a swarm: services, the network, volumes, containers.

Used by `swarm.py`, always with one engine; what is made is found again by its name.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.drivers.workloads import files, placement, spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.drivers.workloads.observe import Container
from stackyard.model import errors
from stackyard.model.ports import Run

NETWORK_SECONDS = 15.0
PLACED_SECONDS = 1.0
STOP_SECONDS = 10.0
DEFAULT_GRACE = 10.0
HISTORY = 5


def listed(engine: NodeEngine, filters: str) -> list[Container]:
    """Return a node's containers by filters; those that have ended are inspected for the reason."""
    rows = engine.get("/containers/json", all=1, filters=filters)
    return [Container(engine.node, row, _details(engine, row)) for row in rows]


def _details(engine: NodeEngine, row: Mapping[str, Any]) -> Mapping[str, Any]:
    # A running container is not inspected: that would wait for the engine's lock while it starts or stops.
    if row["State"] not in {"exited", "dead"}:
        return {}
    try:
        details: Mapping[str, Any] = engine.get(f"/containers/{row['Id']}/json")
    except errors.NotFound:
        return {}
    return details


def grace(container: Container) -> float:
    """Return how long the container may take to stop, in seconds."""
    return float(container.labels.get(spec.GRACE, DEFAULT_GRACE))


def ensure_network(engine: NodeEngine, app_id: str) -> str:
    """Return the id of the application's network, made if it is not there."""
    name = spec.network_name(app_id)
    try:
        return str(engine.get(f"/networks/{name}", scope="swarm")["Id"])
    except errors.NotFound:
        pass
    try:
        return str(engine.post("/networks/create", spec.network(app_id))["Id"])
    except errors.Conflict:
        return str(engine.get(f"/networks/{name}", scope="swarm")["Id"])


def ensure_history(engine: NodeEngine) -> None:
    """Have the swarm remember as many ended tasks of a slot as make a crash loop, beside the present one."""
    swarm = engine.get("/swarm")
    kept = swarm["Spec"].get("Orchestration", {}).get("TaskHistoryRetentionLimit", 0)
    if kept < HISTORY:
        wanted = swarm["Spec"] | {"Orchestration": {"TaskHistoryRetentionLimit": HISTORY}}
        engine.post("/swarm/update", wanted, version=swarm["Version"]["Index"])


def ensure_service(
    engine: NodeEngine, run: Run, network_id: str, avoided: Sequence[str], auth: Mapping[str, str] | None
) -> None:
    """Make the run's service, or bring the one that is there to the run's replicas (and digest)."""
    lasting = placement.lasting(run)
    first = [*lasting, *(f"node.hostname!={name}" for name in avoided)]
    kept = files.ensure(engine, run)
    try:
        engine.post("/services/create", spec.service(run, network_id, first, kept), auth)
    except errors.Conflict:
        return adjust_service(engine, run, network_id, auth)
    if avoided:
        _until_placed(engine, run)
        adjust_service(engine, run, network_id, auth)
    return None


def adjust_service(engine: NodeEngine, run: Run, network_id: str, auth: Mapping[str, str] | None) -> None:
    """Bring a service that is there to what the run and its lasting constraints say.

    Without `auth` the engine keeps the credentials it has. That matters: swarm takes a task that differs from its
    service both in constraints, as those that were placed away from others at first do, and in credentials for
    changed, and replaces it (`IsTaskDirty` in swarmkit).
    """
    current = engine.get(f"/services/{run.name}")
    kept = current["Spec"].get("Labels", {}).get(spec.DIGEST) == run.digest and not spec.is_changed(current["Spec"])
    lasting = placement.lasting(run)
    if kept:
        wanted = spec.adjusted(current["Spec"], run.replicas, lasting)
    else:
        wanted = spec.service(run, network_id, lasting, files.ensure(engine, run))
    if wanted == current["Spec"]:
        return
    auth = None if kept else auth
    engine.post(f"/services/{current['ID']}/update", wanted, auth, version=current["Version"]["Index"])
    if spec.replicas(current["Spec"]) > run.replicas:
        # What is to be stopped must be known at the next look, so that it is taken out of the route in time.
        _until_placed(engine, run)


def _until_placed(engine: NodeEngine, run: Run) -> None:
    """Wait until the run's tasks have their nodes, a second at most."""
    deadline = time.monotonic() + PLACED_SECONDS
    while time.monotonic() < deadline:
        if placement.placed(engine.get("/tasks", filters=json.dumps({"service": [run.name]})), run.replicas):
            return
        time.sleep(0.02)


def remove_network(engine: NodeEngine, app_id: str) -> None:
    """Remove the application's network, waiting until the last tasks have left it."""
    deadline = time.monotonic() + NETWORK_SECONDS
    while True:
        try:
            return engine.delete(f"/networks/{spec.network_name(app_id)}")
        except errors.StackyardError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def remove_volumes(engine: NodeEngine, label: str) -> None:
    """Remove the application's volumes on one node."""
    for volume in engine.get("/volumes", filters=labelled(label)).get("Volumes") or ():
        engine.delete(f"/volumes/{volume['Name']}", force=1)


def halt(container: Container) -> None:
    """Stop a container with its own signal and grace, and remove it; raises Unavailable when that does not end."""
    engine, path = NodeEngine(container.node), f"/containers/{container.listed['Id']}"
    seconds = math.ceil(grace(container))
    with contextlib.suppress(errors.NotFound), contextlib.suppress(errors.Conflict):
        if container.listed["State"] in {"running", "paused"}:
            engine.post(f"{path}/stop", seconds=seconds + STOP_SECONDS, t=seconds)
        engine.delete(path, force=1)


def resolvable(container: Container) -> bool:
    """Tell whether others may use it by name while its successor runs; what has volumes is never two at a time."""
    return container.listed["State"] == "running" and not container.listed.get("Mounts")
