# SPDX-License-Identifier: Apache-2.0
"""The containers of a cluster, looked up once for all followed logs that ask at about the same time.

Used by `swarm.py`: a worker follows the logs of all applications, most of which share a cluster.
"""

from __future__ import annotations

import threading
import time

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.reach import Reach, flat, nothing
from stackyard.model.ports import ClusterAccess


class Roll:
    """The last look at one cluster."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._lock = threading.Lock()
        self._nodes: object = None
        self._began = float("-inf")
        self._found: dict[str, list[Container]] = {}

    def of(self, access: ClusterAccess, app_id: str, service: str | None, since: float) -> list[Container]:
        """Return an application's containers, as they were at the (monotonic) time `since` or later."""
        with self._lock:
            if self._began < since or self._nodes != access.nodes:
                began = time.monotonic()
                self._found = self._look(access)
                self._began, self._nodes = began, access.nodes
            found = self._found.get(app_id, [])
        return [each for each in found if service in {None, each.labels.get(spec.SERVICE)}]

    def _look(self, access: ClusterAccess) -> dict[str, list[Container]]:
        found: dict[str, list[Container]] = {}
        for each in flat(self._reach.survey(access, nothing, _containers)[1]):
            found.setdefault(each.labels.get(spec.APP, ""), []).append(each)
        return found


def _containers(engine: NodeEngine) -> list[Container]:
    """Return a node's containers; unlike where reasons are asked for, those that have ended are not inspected."""
    rows = engine.get("/containers/json", all=1, filters=labelled(spec.APP))
    return [Container(engine.node, row) for row in rows]
