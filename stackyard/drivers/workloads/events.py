# SPDX-License-Identifier: Apache-2.0
"""What happens to containers, as the engines of nodes tell it: one stream per node, shared by all who wait.

Used by `swarm.py` and `follow.py`. A stream is opened when somebody first asks about a node and ends
when nobody has for half a minute. Changes are counted per application, so that what happens between
a look and a wait is not missed; tasks that are no containers yet make no events.
"""

from __future__ import annotations

import collections
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import requests
import urllib3.exceptions

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.model import errors
from stackyard.model.ports import NodeAccess

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError)
"""What reading a stream raises when the engine goes, or when another thread closes it."""
IDLE_SECONDS = 30.0
RETRY_SECONDS = 1.0
CREATED = "create"
STARTED = "start"
CHECKED = "checked"
"""A check from here came out otherwise than before."""
NOTHING_KNOWN = ""
"""A stream begins: what happened before is not known."""
_TOLD = (CREATED, STARTED, "die", "oom", "health_status", "destroy")

Listener = Callable[[str, str], None]
"""Takes (action, container id), called from another thread; must not block."""


class Hub:
    """The event streams of this process."""

    def __init__(self) -> None:
        self._bell = threading.Condition()
        self._counts: collections.Counter[str] = collections.Counter()
        self._listeners: dict[int, tuple[str, Listener]] = {}
        self._watches: dict[NodeAccess, _Watch] = {}
        self._closed = False

    def watch(self, nodes: Iterable[NodeAccess]) -> None:
        """See to it that these nodes' events arrive, for the next half minute at least."""
        with self._bell:
            for node in nodes:
                watch = self._watches.get(node)
                if watch is None or not watch.thread.is_alive():
                    watch = self._watches[node] = _Watch(node, self)
                    watch.thread.start()
                watch.used = time.monotonic()

    def count(self, app_id: str) -> int:
        """Return the number of changes seen so far, to be given to `wait`."""
        with self._bell:
            return self._counts[app_id] + self._counts[""]

    def wait(self, app_id: str, since: int, timeout: float) -> bool:
        """Return True once there are more changes than `since`, False after `timeout` seconds."""
        with self._bell:
            return self._bell.wait_for(
                lambda: self._closed or self._counts[app_id] + self._counts[""] != since, max(timeout, 0)
            )

    @contextlib.contextmanager
    def listening(self, app_id: str, callback: Listener) -> Iterator[None]:
        """Have `callback` told of each event, and of each stream's beginning (NOTHING_KNOWN)."""
        with self._bell:
            self._listeners[id(callback)] = (app_id, callback)
        try:
            yield
        finally:
            with self._bell:
                self._listeners.pop(id(callback), None)

    def tell(self, app_id: str, action: str, container: str = "") -> None:
        """Take an event; creation is no change to those who wait, since the start follows at once."""
        with self._bell:
            if action != CREATED:
                self._counts[app_id] += 1
                self._bell.notify_all()
            called = [callback for wanted, callback in self._listeners.values() if app_id in {"", wanted}]
        for callback in called:
            callback(action, container)

    def close(self) -> None:
        """End all streams; whoever waits goes on at once."""
        with self._bell:
            self._closed = True
            watches = list(self._watches.values())
            self._watches.clear()
            self._bell.notify_all()
        for watch in watches:
            watch.close()


class _Watch:
    """The event stream of one node, read by a thread of its own."""

    def __init__(self, node: NodeAccess, hub: Hub) -> None:
        self.used = time.monotonic()
        self.thread = threading.Thread(target=self._run, name=f"events-{node.name}", daemon=True)
        self._node = node
        self._hub = hub
        self._stop = threading.Event()
        self._answer: requests.Response | None = None

    def close(self) -> None:
        self._stop.set()
        interrupt(self._answer)

    def _wanted(self) -> bool:
        return not self._stop.is_set() and time.monotonic() - self.used < IDLE_SECONDS

    def _run(self) -> None:
        while self._wanted():
            try:
                self._read()
            except (errors.StackyardError, *BROKEN):
                self._stop.wait(RETRY_SECONDS)

    def _read(self) -> None:
        filters = labelled(spec.APP, type=("container",), event=_TOLD)
        with NodeEngine(self._node).stream("GET", "/events", idle=IDLE_SECONDS, filters=filters) as answer:
            self._answer = answer
            self._hub.tell("", NOTHING_KNOWN)
            for line in answer.iter_lines(chunk_size=None):
                if line:
                    event = json.loads(line)
                    self._hub.tell(_app_of(event), event["Action"], event["Actor"]["ID"])
                if not self._wanted():
                    return


def _app_of(event: dict[str, Any]) -> str:
    return str(event.get("Actor", {}).get("Attributes", {}).get(spec.APP, ""))


def interrupt(answer: requests.Response | None) -> None:
    """Wake the thread that reads this answer, which then finds it at its end."""
    if answer is not None:
        with contextlib.suppress(*BROKEN, RuntimeError):
            answer.raw.shutdown()
