# SPDX-License-Identifier: Apache-2.0
"""Runs of releases on Docker Swarm: implements the port Workloads; called by the worker and for live reads.

A run is one swarm service under the run's own name. What runs is asked of the manager (services,
tasks) and of each node's engine (containers) at the same time, because a manager is slow to tell.
Knows no database; keeps nothing but connections.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from stackyard.drivers.workloads import images, observe, placement, spec
from stackyard.drivers.workloads.api import NodeEngine, everywhere, labelled
from stackyard.drivers.workloads.events import Hub
from stackyard.drivers.workloads.follow import LogStream, read, read_all
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.resources import (
    ensure_history,
    ensure_network,
    ensure_service,
    grace,
    halt,
    listed,
    remove_network,
    remove_volumes,
    resolvable,
)
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, LogLine, Registry, Run, RunSeen

T = TypeVar("T")
SETTLE_SECONDS = 10.0
CONVERGE_SECONDS = 0.5
STOPPED_AT_ONCE = 16


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
        lost = placement.down(members)
        _all_down(silent, lost)
        return observe.runs(services, tasks, containers, lost, time.time())

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
            _all_down(silent, placement.down(manager(access, lambda engine: engine.get("/nodes"))))
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
            network = pool.submit(manager, access, ready_for(run))
            avoided = self._prepare(access, run, auth)
            network_id = network.result()
        manager(access, lambda engine: ensure_service(engine, run, network_id, avoided, auth))

    def _auth(self, image: str) -> Mapping[str, str] | None:
        """Return what nodes need to pull the image from the platform's registry; None for images from elsewhere."""
        if self._registry is None or image.startswith("sha256:"):
            return None
        repository = images.repository(image, self._registry.address())
        return self._registry.grant([repository], ["pull"]) if repository else None

    def _prepare(self, access: ClusterAccess, run: Run, auth: Mapping[str, str] | None) -> list[str]:
        """Have the image on all nodes that may run it; return the nodes to be avoided at first."""
        image, label = run.service.image or "", f"{spec.APP}={run.app_id}"

        def prepare(engine: NodeEngine) -> bool:
            images.bring(engine, image, auth)
            return bool(engine.get("/containers/json", filters=labelled(label)))

        nodes = placement.eligible(access, run, manager(access, lambda engine: engine.get("/nodes")))
        answers = everywhere(nodes, prepare)
        for answer in answers.values():
            if isinstance(answer, errors.StackyardError):
                raise answer
        return placement.avoided(run, list(answers), [name for name, warm in answers.items() if warm])

    # --- stopping ------------------------------------------------------------------------------

    def stop(self, access: ClusterAccess, name: str) -> None:
        """Remove the run and its containers, each within its own grace."""
        manager(access, lambda engine: engine.delete(f"/services/{name}"))
        self._halt(access, f"{spec.SWARM_SERVICE}={name}")

    def _halt(self, access: ClusterAccess, label: str) -> None:
        """Stop and remove the containers with this label whose services are removed already.

        Swarm would do so too, 3 seconds later, and remove them 3 seconds after that.
        """
        left = self._present(access, label)
        if any(resolvable(each) for each in left):
            time.sleep(CONVERGE_SECONDS)
        deadline = time.monotonic() + max((grace(each) for each in left), default=0) + SETTLE_SECONDS
        while left:
            if time.monotonic() > deadline:
                raise errors.Unavailable(f"{left[0].node.name} does not remove container {left[0].listed['Id'][:12]}")
            with ThreadPoolExecutor(min(len(left), STOPPED_AT_ONCE), "stop") as pool:
                list(pool.map(halt, left))
            left = self._present(access, label)

    def remove(self, access: ClusterAccess, app_id: str) -> None:
        """Remove everything of the application: services, containers, its network, its volumes on all nodes."""
        label = f"{spec.APP}={app_id}"

        def remove_services(engine: NodeEngine) -> None:
            for service in engine.get("/services", filters=labelled(label)):
                engine.delete(f"/services/{service['ID']}")

        manager(access, remove_services)
        self._halt(access, label)
        manager(access, lambda engine: remove_network(engine, app_id))
        answers = everywhere(access.nodes, lambda engine: remove_volumes(engine, label))
        failed = {name: answer for name, answer in answers.items() if isinstance(answer, errors.StackyardError)}
        if failed:
            _all_down(failed, placement.down(manager(access, lambda engine: engine.get("/nodes"))))

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


def ready_for(run: Run) -> Callable[[NodeEngine], str]:
    """Return the call that prepares the swarm itself for a run and returns its network's id."""

    def prepare(engine: NodeEngine) -> str:
        # Another start may be changing the swarm at this moment; then it has done so.
        with contextlib.suppress(errors.StackyardError):
            ensure_history(engine)
        return ensure_network(engine, run.app_id)

    return prepare


def manager(access: ClusterAccess, call: Callable[[NodeEngine], T]) -> T:
    """Make a call on the first manager that answers; it may be made twice. Raises Unavailable when none does."""
    failure = errors.Unavailable("the cluster has no manager")
    for node in access.managers:
        try:
            return call(NodeEngine(node))
        except errors.Unavailable as error:
            failure = error
    raise failure


def _failed(container: Container) -> bool:
    state = container.details.get("State", {})
    return container.ended and bool(state.get("ExitCode") or state.get("Error") or state.get("OOMKilled"))


def _all_down(silent: Mapping[str, errors.StackyardError], lost: Mapping[str, str]) -> None:
    """Raise the first error of a node that is not known to be down."""
    for name, error in silent.items():
        if name not in lost.values():
            raise error
