# SPDX-License-Identifier: Apache-2.0
"""Early readiness: a starting container's own health check, asked for more often than its engine does.

An engine checks first when a whole `interval` has passed (Docker Engine before 25 knows no shorter one for the
start). A new release would stand ready and unused for that long. So the check's own command is run in the
container now and then until it succeeds once; from there on the engine's word counts alone. A service that is to
listen is not asked before it does: a command takes processor time, which the start that it asks about needs.
Used by `swarm.py` when it looks; keeps only what has been proved.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine
from stackyard.drivers.workloads.observe import Container, endpoint_of
from stackyard.model import errors

PAUSE_SECONDS = 0.1
WAIT_SECONDS = 1.0
CONNECT_SECONDS = 0.2
AT_ONCE = 8
KEPT = 4096
STARTING = "(health: starting)"


@dataclasses.dataclass
class _Probe:
    """What is known of one container: its check's command, whether it has succeeded, when to try again."""

    command: Sequence[str]
    proved: bool = False
    due: float = 0


class Probes:
    """The checks of this process, by container id."""

    def __init__(self) -> None:
        self._known: dict[str, _Probe] = {}
        self._lock = threading.Lock()

    def prove(self, containers: Sequence[Container]) -> list[Container]:
        """Return the containers; those that only start by their engine's word but pass their check are `proved`."""
        # A group's member waits for others, and is used by names only: asking it early would find out nothing sooner.
        starting = [each for each in containers if STARTING in each.listed["Status"] and spec.GROUP not in each.labels]
        if not starting:
            return list(containers)
        with ThreadPoolExecutor(min(len(starting), AT_ONCE), "probe") as pool:
            passed = {
                each.listed["Id"] for each, good in zip(starting, pool.map(self._try, starting), strict=True) if good
            }
        return [dataclasses.replace(each, proved=each.listed["Id"] in passed) for each in containers]

    def _try(self, container: Container) -> bool:
        engine = NodeEngine(container.node)
        try:
            probe = self._probe(engine, container.listed["Id"])
            if not probe.proved and probe.command and time.monotonic() >= probe.due and _listens(container):
                probe.proved = _run(engine, container.listed["Id"], probe.command)
                probe.due = time.monotonic() + PAUSE_SECONDS
        except errors.StackyardError:
            return False  # it is just coming or going; the engine's own checks go on
        return probe.proved

    def _probe(self, engine: NodeEngine, container: str) -> _Probe:
        with self._lock:
            if container in self._known:
                return self._known[container]
        probe = _Probe(_command(engine.get(f"/containers/{container}/json")))
        with self._lock:
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            return self._known.setdefault(container, probe)


def _listens(container: Container) -> bool:
    """Tell whether the container's port accepts connections; yes for one that is to have none."""
    if spec.PORT not in container.labels:
        return True
    host, _, port = (endpoint_of(container) or "").rpartition(":")
    if not port:
        return False
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _command(details: Mapping[str, Any]) -> Sequence[str]:
    """Return the argument vector of the container's health check, or nothing."""
    kind, *words = (details["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    if kind == "CMD":
        return words
    return ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else []


def _run(engine: NodeEngine, container: str, command: Sequence[str]) -> bool:
    """Run a command in a container; tell whether it ended well within a second."""
    made = engine.post(f"/containers/{container}/exec", {"Cmd": list(command)})["Id"]
    engine.post(f"/exec/{made}/start", {"Detach": True})
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        state = engine.get(f"/exec/{made}/json")
        if not state["Running"] and state["ExitCode"] is not None:
            return bool(state["ExitCode"] == 0)
        time.sleep(0.02)
    return False
