# SPDX-License-Identifier: Apache-2.0
"""Runs of releases on Docker Swarm: implements the port Workloads; called by the worker and for live reads.

A run is one swarm service under the run's own name. What runs is asked of the manager (services,
tasks) and of each node's engine (containers) at the same time, because a manager is slow to tell.
Knows no database; keeps nothing but connections.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from stackyard.drivers.workloads import images, observe, spec
from stackyard.drivers.workloads.api import NodeEngine, everywhere, labelled
from stackyard.drivers.workloads.events import Hub
from stackyard.drivers.workloads.follow import LogStream, read, read_all
from stackyard.drivers.workloads.observe import Container
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, LogLine, NodeAccess, Registry, Run, RunSeen

T = TypeVar("T")
SETTLE_SECONDS = 5.0
NETWORK_SECONDS = 15.0
DEFAULT_GRACE = 10.0


class SwarmWorkloads:
    """Workloads on a swarm whose nodes' engines are reached with mutual TLS."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._hub = Hub()
        self._looked = threading.local()

    def close(self) -> None:
        """End the event streams; the object is not used afterwards."""
        self._hub.close()

    # --- looking -------------------------------------------------------------------------------

    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        """Return what runs for the application; raises Unavailable for a node that is neither there nor known down."""
        self._note(access, app_id)
        with ThreadPoolExecutor(1, "manager") as pool:
            told = pool.submit(self._told, access, app_id)
            containers, silent = self._containers(access, f"{spec.APP}={app_id}")
            services, tasks, members = told.result()
        lost = _down(members)
        _all_down(silent, lost)
        return observe.runs(services, tasks, containers, lost)

    def _told(self, access: ClusterAccess, app_id: str) -> tuple[list[Any], list[Any], list[Any]]:
        """Return what the manager says: services, tasks, members."""
        filters = labelled(f"{spec.APP}={app_id}")

        def ask(engine: NodeEngine) -> tuple[list[Any], list[Any], list[Any]]:
            services = engine.get("/services", filters=filters)
            return services, engine.get("/tasks", filters=filters), engine.get("/nodes")

        return manager(access, ask)

    def _containers(
        self, access: ClusterAccess, *labels: str
    ) -> tuple[list[Container], dict[str, errors.StackyardError]]:
        """Return the containers with these labels on all nodes that answer, and the errors of the others."""
        found: list[Container] = []
        silent: dict[str, errors.StackyardError] = {}
        answers = everywhere(access.nodes, lambda engine: listed(engine, *labels))
        for name, answer in answers.items():
            if isinstance(answer, errors.StackyardError):
                silent[name] = answer
            else:
                found += answer
        return found, silent

    def _present(self, access: ClusterAccess, *labels: str) -> list[Container]:
        """Return the containers with these labels; raises Unavailable unless all silent nodes are known down."""
        found, silent = self._containers(access, *labels)
        if silent:
            _all_down(silent, _down(manager(access, lambda engine: engine.get("/nodes"))))
        return found

    def wait(self, access: ClusterAccess, app_id: str, timeout: float) -> None:
        """Return when a container changed since this thread's last `runs` of the application, or after `timeout`."""
        self._hub.watch(access.nodes)
        marks = self._marks()
        since = marks.pop(app_id, None)
        self._hub.wait(app_id, self._hub.count(app_id) if since is None else since, timeout)

    def _marks(self) -> dict[str, int]:
        marks: dict[str, int] = self._looked.__dict__.setdefault("marks", {})
        return marks

    def _note(self, access: ClusterAccess, app_id: str) -> None:
        self._hub.watch(access.nodes)
        self._marks()[app_id] = self._hub.count(app_id)

    # --- starting ------------------------------------------------------------------------------

    def start(self, access: ClusterAccess, run: Run) -> None:
        """Start the run or bring it to `run.replicas`; raises GiveUp when its image or specification is refused."""
        if not run.service.image:
            raise errors.GiveUp(f"service {run.service.name} has no image")
        self._hub.watch(access.nodes)
        auth = self._auth(run.service.image)
        with ThreadPoolExecutor(1, "network") as pool:
            network = pool.submit(manager, access, lambda engine: ensure_network(engine, run.app_id))
            self._bring(access, run, auth)
            network_id = network.result()
        manager(access, lambda engine: ensure_service(engine, run, network_id, auth))

    def _auth(self, image: str) -> Mapping[str, str] | None:
        """Return what nodes need to pull the image from the platform's registry; None for images from elsewhere."""
        if self._registry is None or image.startswith("sha256:"):
            return None
        repository = images.repository(image, self._registry.address())
        return self._registry.grant([repository], ["pull"]) if repository else None

    def _bring(self, access: ClusterAccess, run: Run, auth: Mapping[str, str] | None) -> None:
        """Have the image on all nodes that may run it; only a node that is down may fail."""
        image = run.service.image or ""
        nodes = _eligible(access, run, manager(access, lambda engine: engine.get("/nodes")))
        answers = everywhere(nodes, lambda engine: images.bring(engine, image, auth))
        for answer in answers.values():
            if isinstance(answer, errors.StackyardError):
                raise answer

    # --- stopping ------------------------------------------------------------------------------

    def stop(self, access: ClusterAccess, name: str) -> None:
        """Remove the run and wait until its containers are gone, by force when their grace is over."""
        manager(access, lambda engine: engine.delete(f"/services/{name}"))
        self._gone(access, f"{spec.SWARM_SERVICE}={name}")

    def _gone(self, access: ClusterAccess, label: str) -> None:
        """Wait until no container has this label."""
        self._hub.watch(access.nodes)
        begun, forced, app_id = time.monotonic(), False, ""
        while True:
            since = self._hub.count(app_id)
            left = self._present(access, label)
            if not left:
                return
            late = time.monotonic() - begun - max(grace(each) for each in left) - SETTLE_SECONDS
            if late > SETTLE_SECONDS:
                raise errors.Unavailable(f"{left[0].node.name} does not remove container {left[0].listed['Id'][:12]}")
            if late > 0 and not forced:
                forced = True
                _force(left)
            self._hub.wait(app_id, since, 0.1 if app_id else 0.02)
            app_id = left[0].labels.get(spec.APP, "")

    def remove(self, access: ClusterAccess, app_id: str) -> None:
        """Remove everything of the application: services, containers, its network, its volumes on all nodes."""
        label = f"{spec.APP}={app_id}"

        def remove_services(engine: NodeEngine) -> None:
            for service in engine.get("/services", filters=labelled(label)):
                engine.delete(f"/services/{service['ID']}")

        manager(access, remove_services)
        self._gone(access, label)
        manager(access, lambda engine: remove_network(engine, app_id))
        answers = everywhere(access.nodes, lambda engine: remove_volumes(engine, label))
        failed = {name: answer for name, answer in answers.items() if isinstance(answer, errors.StackyardError)}
        if failed:
            _all_down(failed, _down(manager(access, lambda engine: engine.get("/nodes"))))

    # --- logs ----------------------------------------------------------------------------------

    def logs(
        self, access: ClusterAccess, app_id: str, *, follow: bool, tail: int | None, service: str | None
    ) -> Iterator[LogLine]:
        """Return lines in the order of their times; following, a LogStream that has `poll` and `close`."""
        labels = [f"{spec.APP}={app_id}", *([f"{spec.SERVICE}={service}"] if service else [])]

        def look() -> list[Container]:
            self._hub.watch(access.nodes)
            return self._present(access, *labels)

        if follow:
            return LogStream(self._hub, app_id, look, tail)
        return read_all(look(), tail)

    def tail(self, access: ClusterAccess, run: str, lines: int) -> str:
        """Return the last lines of the run's newest failed (else newest) container; "" when it has none."""
        found = self._present(access, f"{spec.SWARM_SERVICE}={run}")
        if not found:
            return ""
        newest = max(found, key=lambda each: (_failed(each), each.listed["Created"]))
        return "\n".join(line.text for line in list(read(newest, lines))[-lines:])


def manager(access: ClusterAccess, call: Callable[[NodeEngine], T]) -> T:
    """Make a call on the first manager that answers; it may be made twice. Raises Unavailable when none does."""
    failure = errors.Unavailable("the cluster has no manager")
    for node in access.managers:
        try:
            return call(NodeEngine(node))
        except errors.Unavailable as error:
            failure = error
    raise failure


def listed(engine: NodeEngine, *labels: str) -> list[Container]:
    """Return a node's containers with these labels; those that have ended are inspected for the reason."""
    rows = engine.get("/containers/json", all=1, filters=labelled(*labels))
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


def ensure_service(engine: NodeEngine, run: Run, network_id: str, auth: Mapping[str, str] | None) -> None:
    """Make the run's service, or bring the one that is there to the run's replicas (and digest)."""
    try:
        engine.post("/services/create", spec.service(run, network_id), auth)
    except errors.Conflict:
        current = engine.get(f"/services/{run.name}")
        wanted = spec.scaled(current["Spec"], run.replicas)
        if current["Spec"].get("Labels", {}).get(spec.DIGEST) != run.digest:
            wanted = spec.service(run, network_id)
        if wanted != current["Spec"]:
            engine.post(f"/services/{current['ID']}/update", wanted, auth, version=current["Version"]["Index"])


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


def _force(containers: Sequence[Container]) -> None:
    for each in containers:
        NodeEngine(each.node).delete(f"/containers/{each.listed['Id']}", force=1, v=1)


def _failed(container: Container) -> bool:
    state = container.details.get("State", {})
    return container.ended and bool(state.get("ExitCode") or state.get("Error") or state.get("OOMKilled"))


def _down(members: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names of the members that the swarm knows to be down, by id."""
    return {each["ID"]: each["Description"]["Hostname"] for each in members if each["Status"]["State"] == "down"}


def _all_down(silent: Mapping[str, errors.StackyardError], lost: Mapping[str, str]) -> None:
    """Raise the first error of a node that is not known to be down."""
    for name, error in silent.items():
        if name not in lost.values():
            raise error


def _eligible(access: ClusterAccess, run: Run, members: Sequence[Mapping[str, Any]]) -> list[NodeAccess]:
    """Return the nodes that may run the run: ready, not draining, and the pinned one where there is one."""
    ready = {
        each["Description"]["Hostname"]
        for each in members
        if each["Status"]["State"] == "ready" and each["Spec"]["Availability"] == "active"
    }
    wanted = ready & {run.pin} if run.pin else ready
    return [node for node in access.nodes if node.name in wanted]
