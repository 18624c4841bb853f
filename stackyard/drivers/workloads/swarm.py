# SPDX-License-Identifier: Apache-2.0
"""Runs of releases on Docker Swarm: implements the port Workloads; called by the worker and for live reads.

A run is one swarm service under the run's own name. What runs is asked of the manager (services,
tasks) and of each node's engine (containers) at the same time, because a manager is slow to tell.
Knows no database; keeps nothing but connections.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stackyard.drivers.workloads import files, images, observe, placement, spec
from stackyard.drivers.workloads.api import NodeEngine, everywhere, labelled
from stackyard.drivers.workloads.checks import Checks
from stackyard.drivers.workloads.events import CHECKED, Hub
from stackyard.drivers.workloads.follow import LogStream
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.probes import Probes
from stackyard.drivers.workloads.reach import Reach, flat, nothing
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
from stackyard.drivers.workloads.roll import Roll
from stackyard.drivers.workloads.sources import read, read_all
from stackyard.drivers.workloads.usage import Glances
from stackyard.model import errors
from stackyard.model.clusters import MASTER
from stackyard.model.logs import Checkpoint, LogLine
from stackyard.model.ports import ClusterAccess, Registry, Replica, Run, RunSeen

SETTLE_SECONDS = 10.0
CONVERGE_SECONDS = 0.5
FIRST_CHECK_SECONDS = 0.3
FIRST_PROOF_SECONDS = 1.0
"""People who look are told of a replica what its check says, where that says it soon."""
STOPPED_AT_ONCE = 16


class SwarmWorkloads:
    """Workloads on a swarm whose nodes' engines are reached with mutual TLS."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._hub = Hub()
        self._reach = Reach()
        self._probes = Probes(self._changed)
        self._checks = Checks(self._changed)
        self._glances = Glances(
            self._reach,
            lambda app_id, found: self._checks.judge(
                app_id, self._probes.prove(app_id, found, FIRST_PROOF_SECONDS), FIRST_CHECK_SECONDS
            ),
        )
        self._ahead = images.Ahead(registry)
        self._rolls: dict[str, Roll] = {}
        self._looked = threading.local()

    def close(self) -> None:
        """End the event streams; the object is not used afterwards."""
        self._hub.close()
        self._checks.close()
        self._probes.close()
        self._ahead.close()

    def _changed(self, app_id: str) -> None:
        self._hub.tell(app_id, CHECKED)

    # --- looking -------------------------------------------------------------------------------

    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        """Return what runs for the application; raises Unavailable for a node that is neither there nor known down."""
        self._note(access, app_id)
        filters = labelled(f"{spec.APP}={app_id}")

        def ask(engine: NodeEngine) -> tuple[list[Any], list[Any]]:
            return engine.get("/services", filters=filters), engine.get("/tasks", filters=filters)

        replicas = labelled(f"{spec.APP}={app_id}", spec.SWARM_SERVICE)  # jobs are no runs
        told, containers, down = self._reach.survey(access, ask, lambda engine: listed(engine, replicas))
        judged = self._checks.judge(app_id, self._probes.prove(app_id, flat(containers)))
        return observe.runs(*told, judged, down, time.time())

    def glance(self, access: ClusterAccess, app_id: str, *, usage: bool = False) -> list[RunSeen]:
        """Return what runs, for people: replicas on nodes that do not answer soon are unknown."""
        return self._glances.of(access, app_id, usage=usage)

    def _present(self, access: ClusterAccess, *labels: str) -> list[Container]:
        """Return the containers with these labels."""
        filters = labelled(*labels)
        return flat(self._reach.survey(access, nothing, lambda engine: listed(engine, filters))[1])

    def wait(self, access: ClusterAccess, app_id: str, timeout: float) -> None:
        """Return when a container changed since this thread's last `runs` of the application, or after `timeout`."""
        self._hub.watch(self._reach.watched(access))
        marks = self._marks()
        since = marks.pop(app_id, None)
        self._hub.wait(app_id, self._hub.count(app_id) if since is None else since, timeout)

    def _marks(self) -> dict[str, int]:
        marks: dict[str, int] = self._looked.__dict__.setdefault("marks", {})
        return marks

    def _note(self, access: ClusterAccess, app_id: str) -> None:
        self._hub.watch(self._reach.watched(access))
        self._marks()[app_id] = self._hub.count(app_id)

    # --- starting ------------------------------------------------------------------------------

    def fetch(self, access: ClusterAccess, wanted: Collection[str]) -> None:
        """Begin to bring images to all nodes that run applications; never fails."""
        workers = [node for node in access.nodes if node.role != MASTER]
        for image in wanted:
            for node in workers or access.nodes:
                self._ahead.begin(NodeEngine(node), image)

    def start(self, access: ClusterAccess, run: Run) -> None:
        """Start the run or bring it to `run.replicas`; raises GiveUp when its image or specification is refused."""
        if not run.service.image:
            raise errors.GiveUp(f"service {run.service.name} has no image")
        self._hub.watch(self._reach.watched(access))
        auth = images.grant(self._registry, run.service.image)
        with ThreadPoolExecutor(1, "network") as pool:
            network = pool.submit(self._reach.manager, access, ready_for(run))
            avoided = self._prepare(access, run, auth)
            network_id = network.result()
        self._reach.manager(access, lambda engine: ensure_service(engine, run, network_id, avoided, auth))

    def _prepare(self, access: ClusterAccess, run: Run, auth: Mapping[str, str] | None) -> list[str]:
        """Have the image on all nodes that may run it; return the nodes to be avoided at first."""
        image, label = run.service.image or "", f"{spec.APP}={run.app_id}"

        def prepare(engine: NodeEngine) -> bool:
            images.bring(engine, image, auth)
            return bool(engine.get("/containers/json", filters=labelled(label)))

        nodes = placement.eligible(access, run, self._reach.manager(access, lambda engine: engine.get("/nodes")))
        answers = everywhere(nodes, prepare)
        for answer in answers.values():
            if isinstance(answer, errors.StackyardError):
                raise answer
        return placement.avoided(run, list(answers), [name for name, warm in answers.items() if warm])

    # --- stopping ------------------------------------------------------------------------------

    def stop(self, access: ClusterAccess, name: str) -> None:
        """Remove the run and its containers, each within its own grace."""
        self._reach.manager(access, lambda engine: engine.delete(f"/services/{name}"))
        gone = self._halt(access, f"{spec.SWARM_SERVICE}={name}")
        for app_id in {each.labels[spec.APP] for each in gone if spec.FILES in each.labels}:
            self._reach.manager(access, functools.partial(files.tidy, app_id=app_id))

    def _halt(self, access: ClusterAccess, label: str) -> list[Container]:
        """Stop and remove the containers with this label whose services are removed already; return them.

        Swarm would do so too, 3 seconds later, and remove them 3 seconds after that.
        """
        found = left = self._present(access, label)
        if any(resolvable(each) for each in left):
            time.sleep(CONVERGE_SECONDS)
        deadline = time.monotonic() + max((grace(each) for each in left), default=0) + SETTLE_SECONDS
        while left:
            if time.monotonic() > deadline:
                raise errors.Unavailable(f"{left[0].node.name} does not remove container {left[0].listed['Id'][:12]}")
            with ThreadPoolExecutor(min(len(left), STOPPED_AT_ONCE), "stop") as pool:
                list(pool.map(halt, left))
            left = self._present(access, label)
        return found

    def replace(self, access: ClusterAccess, replica: Replica) -> None:
        """Stop and remove a replica's container, within its grace; swarm starts another in its place."""
        for container in self._present(access, f"{spec.SWARM_TASK}={replica.id}"):
            halt(container)

    def remove(self, access: ClusterAccess, app_id: str) -> None:
        """Remove everything of the application: services, containers, files, its network, its volumes on all nodes."""
        label = f"{spec.APP}={app_id}"

        def remove_services(engine: NodeEngine) -> None:
            for service in engine.get("/services", filters=labelled(label)):
                engine.delete(f"/services/{service['ID']}")

        self._reach.manager(access, remove_services)
        self._halt(access, label)
        self._reach.manager(access, lambda engine: files.tidy(engine, app_id))
        self._reach.manager(access, lambda engine: remove_network(engine, app_id))
        self._reach.survey(access, nothing, lambda engine: remove_volumes(engine, label))

    # --- logs ----------------------------------------------------------------------------------

    def logs(
        self,
        access: ClusterAccess,
        app_id: str,
        *,
        follow: bool,
        tail: int | None = None,
        service: str | None = None,
        after: Checkpoint | None = None,
    ) -> Iterator[LogLine]:
        """Return lines in the order of their times; following, a LogStream that has `poll`, `add` and `close`."""
        roll = self._rolls.setdefault(access.cluster_id, Roll(self._reach))

        def look(since: float) -> list[Container]:
            self._hub.watch(self._reach.watched(access))
            return roll.of(access, app_id, service, since)

        if follow:
            return LogStream(self._hub, app_id, look, tail, after)
        return read_all(look(time.monotonic()), tail, after)

    def tail(self, access: ClusterAccess, run: str, lines: int) -> str:
        """Return the last lines of the run's newest failed (else newest) container; "" when it has none."""
        found = self._present(access, f"{spec.SWARM_SERVICE}={run}")
        if not found:
            return ""
        newest = max(found, key=lambda each: (_failed(each), each.ended, each.listed["Created"]))
        return "\n".join(line.text for line in list(read(newest, lines))[-lines:])


def ready_for(run: Run) -> Callable[[NodeEngine], str]:
    """Return the call that prepares the swarm itself for a run and returns its network's id."""

    def prepare(engine: NodeEngine) -> str:
        # Another start may be changing the swarm at this moment; then it has done so.
        with contextlib.suppress(errors.StackyardError):
            ensure_history(engine)
        return ensure_network(engine, run.app_id)

    return prepare


def _failed(container: Container) -> bool:
    state = container.details.get("State", {})
    return container.ended and bool(state.get("ExitCode") or state.get("Error") or state.get("OOMKilled"))
