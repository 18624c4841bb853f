# SPDX-License-Identifier: Apache-2.0
"""Early readiness: a starting container's own health check, asked for more often than its engine does.

An engine checks first when a whole `interval` has passed (Docker Engine before 25 knows no shorter one for the
start). A new release would stand ready and unused for that long. So the check's own command is run in the
container now and then until it succeeds once; from there on the engine's word counts alone. A service that is to
listen is not asked before it does: a command takes processor time, which the start that it asks about needs.
Used by `swarm.py` when it looks. A look only tells what is known; threads ask, each one container, and tell of what
they have proved through the function that is given.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine
from stackyard.drivers.workloads.observe import Container, endpoint_of
from stackyard.model import errors
from stackyard.model.applications import check_command

PAUSE_SECONDS = 0.1
LISTEN_SECONDS = 0.02
WAIT_SECONDS = 1.0
CONNECT_SECONDS = 0.2
TRIED_SECONDS = 2.0
"""So long a container is asked for one look at it; whoever is still interested looks again."""
AT_ONCE = 8
KEPT = 4096
STARTING = "(health: starting)"


@dataclasses.dataclass
class _Probe:
    """What is known of one container: its check's command (None: not asked for yet), whether it has succeeded.

    `trial` is the newest time that it was asked, over or not.
    """

    command: Sequence[str] | None = None
    proved: bool = False
    trial: Future[None] | None = None


class Probes:
    """The checks of this process, by container id; `changed` is called with an application's id for each proof."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._known: dict[str, _Probe] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "probe")

    def close(self) -> None:
        """Begin no more checks."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def prove(self, app_id: str, containers: Sequence[Container], patience: float = 0) -> list[Container]:
        """Return the containers; those that only start by their engine's word but have passed their check `proved`.

        Those that are being asked are waited for, up to `patience` seconds.
        """
        # A group's member waits for others, and is used by names only: asking it early would find out nothing sooner.
        starting = [each for each in containers if STARTING in each.listed["Status"] and spec.GROUP not in each.labels]
        probes = {each.listed["Id"]: self._begun(app_id, each) for each in starting}
        wait([each.trial for each in probes.values() if each.trial], patience)
        good = {ident for ident, probe in probes.items() if probe.proved}
        return [dataclasses.replace(each, proved=each.listed["Id"] in good) for each in containers]

    def _begun(self, app_id: str, container: Container) -> _Probe:
        """Return what is known of a container, which is asked from now on until it has been proved."""
        ident = container.listed["Id"]
        with self._lock:
            while len(self._known) >= KEPT and ident not in self._known:
                del self._known[next(iter(self._known))]
            probe = self._known.setdefault(ident, _Probe())
            if not probe.proved and (probe.trial is None or probe.trial.done()):
                probe.trial = self._pool.submit(self._try, app_id, container, probe)
        return probe

    def _try(self, app_id: str, container: Container, probe: _Probe) -> None:
        engine, ident = NodeEngine(container.node), container.listed["Id"]
        deadline = time.monotonic() + TRIED_SECONDS
        try:
            if probe.command is None:
                probe.command = _command(engine.get(f"/containers/{ident}/json"))
            while probe.command and not probe.proved and time.monotonic() < deadline:
                listens = _listens(container)
                probe.proved = listens and _run(engine, ident, probe.command)
                time.sleep(0 if probe.proved else PAUSE_SECONDS if listens else LISTEN_SECONDS)
        except errors.StackyardError:
            return  # it is just coming or going; the engine's own checks go on
        if probe.proved:
            self._changed(app_id)


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
    return check_command((details["Config"].get("Healthcheck") or {}).get("Test") or ())


def _run(engine: NodeEngine, container: str, command: Sequence[str]) -> bool:
    """Run a command in a container; tell whether it ended well within a second."""
    path = engine.exec(container, command)
    engine.post(f"{path}/start", {"Detach": True})
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        state = engine.get(f"{path}/json")
        if not state["Running"] and state["ExitCode"] is not None:
            return bool(state["ExitCode"] == 0)
        time.sleep(0.02)
    return False
