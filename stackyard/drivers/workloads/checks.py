# SPDX-License-Identifier: Apache-2.0
"""Health over the network: HTTP and TCP checks of replicas' own ports, which need no program in the image.

Used by `swarm.py` when it looks. A look only tells what is known; one thread asks replicas when they are due (those
that start, often; those that are ready, each `interval`), as long as somebody looks at them now and then. It keeps
nothing but what it found out, and tells of changes through the function it is given.
"""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from stackyard.drivers.workloads import observe, spec
from stackyard.drivers.workloads.observe import Container

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
GROWTH = 1.2
FORGET_SECONDS = 300.0
AT_ONCE = 8


@dataclasses.dataclass(frozen=True)
class Check:
    """What is asked of a replica's port: a GET of `http`, else a connection. Durations in seconds.

    One that was not `asked` for only tells when a replica has begun to listen.
    """

    port: str
    http: str = ""
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    asked: bool = False

    @property
    def patience(self) -> float:
        """Return how long a replica may take to pass for the first time, in seconds."""
        return self.start_period + self.interval * self.retries if self.asked else float("inf")


@dataclasses.dataclass
class _Target:
    """What is known of one container."""

    app: str
    check: Check
    endpoint: str
    begun: float
    due: float = 0.0
    pause: float = FIRST_PAUSE
    passed: bool = False
    failures: int = 0
    words: str = ""
    busy: bool = False
    known: bool = False
    seen: float = dataclasses.field(default_factory=time.monotonic)

    def state(self) -> str:
        """Return the state of the replica, in the port's words."""
        if self.passed:
            return "unhealthy" if self.failures >= self.check.retries else "running"
        return "unhealthy" if self.words and time.time() - self.begun > self.check.patience else "starting"

    def note(self, words: str) -> None:
        """Take the outcome of a check: what is wrong, or nothing."""
        self.known = True
        self.words = words
        self.passed = self.passed or not words
        self.failures = self.failures + 1 if words else 0
        self.due = time.monotonic() + self._next()

    def _next(self) -> float:
        if self.passed:
            return self.check.interval if self.check.asked else float("inf")
        self.pause = min(self.pause * GROWTH, LONGEST_PAUSE, max(self.check.interval, FIRST_PAUSE))
        return self.pause


def of(labels: Mapping[str, str]) -> Check | None:
    """Return the check that a container's labels ask for, or None."""
    told, port = labels.get(spec.HEALTH), labels.get(spec.PORT)
    return Check(port=port, **json.loads(told)) if told and port else None


class Checks:
    """The checks of this process. `changed` is called with the id of an application whose replica is judged anew."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._targets: dict[str, _Target] = {}
        self._bell = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def close(self) -> None:
        """End the checking; the object is not used afterwards."""
        with self._bell:
            self._closed = True
            self._targets.clear()
            self._bell.notify_all()

    def judge(self, app: str, containers: Sequence[Container], patience: float = 0) -> list[Container]:
        """Return all containers of an application, those that run and are checked here with their state and words.

        Those not asked before are waited for, up to `patience` seconds.
        """
        there = {each.listed["Id"] for each in containers}
        with self._bell:
            self._forget(app, there)
            found = [self._judged(app, each) for each in containers]
            self._begin()
            if patience and not self._known(there):
                self._bell.wait_for(lambda: self._known(there), patience)
                found = [self._judged(app, each) for each in containers]
        return found

    def _begin(self) -> None:
        self._bell.notify_all()
        if self._targets and (self._thread is None or not self._thread.is_alive()) and not self._closed:
            self._thread = threading.Thread(target=self._run, name="checks", daemon=True)
            self._thread.start()

    def _known(self, there: set[str]) -> bool:
        return all(target.known for key, target in self._targets.items() if key in there)

    def _judged(self, app: str, container: Container) -> Container:
        check, endpoint = of(container.labels), observe.endpoint_of(container)
        if check is None or endpoint is None or container.listed["State"] != "running":
            return container
        target = self._targets.get(container.listed["Id"])
        if target is None or target.endpoint != endpoint:
            target = _Target(app, check, endpoint, observe.started(container))
            self._targets[container.listed["Id"]] = target
        target.seen = time.monotonic()
        return dataclasses.replace(container, health=(target.state(), target.words))

    def _forget(self, app: str, there: set[str]) -> None:
        old = time.monotonic() - FORGET_SECONDS
        gone = [key for key, each in self._targets.items() if (each.app == app and key not in there) or each.seen < old]
        for key in gone:
            del self._targets[key]

    def _run(self) -> None:
        """Ask whatever is due, until nothing is looked at any more."""
        with ThreadPoolExecutor(AT_ONCE, "check") as pool:
            while True:
                with self._bell:
                    self._forget("", set())
                    if not self._targets or self._closed:
                        self._thread = None
                        return
                    due = self._due(time.monotonic())
                    if not due:
                        self._bell.wait(self._pause())
                        continue
                for target in due:
                    pool.submit(self._ask, target)

    def _due(self, now: float) -> list[_Target]:
        due = [each for each in self._targets.values() if not each.busy and each.due <= now]
        for each in due:
            each.busy = True
        return due

    def _pause(self) -> float:
        next_due = min((each.due for each in self._targets.values() if not each.busy), default=float("inf"))
        return max(0.0, min(next_due - time.monotonic(), LONGEST_PAUSE))

    def _ask(self, target: _Target) -> None:
        before = target.state()
        words = ask(target.endpoint, target.check)
        with self._bell:
            told = target.words != words and not target.passed
            target.note(words)
            target.busy = False
            self._bell.notify_all()
        if target.state() != before or told:
            self._changed(target.app)


def ask(endpoint: str, check: Check) -> str:
    """Ask a replica once; return what is wrong, or nothing."""
    try:
        return _get(endpoint, check) if check.http else _connect(endpoint, check)
    except TimeoutError:
        return f"{_what(check)} had no answer within {check.timeout:g} s"
    except OSError:
        return f"nothing accepts connections on port {check.port}; does it listen on 0.0.0.0:{check.port}?"
    except (http.client.HTTPException, ValueError):
        return f"{_what(check)} was not answered in HTTP"


def _connect(endpoint: str, check: Check) -> str:
    host, port = _split(endpoint)
    socket.create_connection((host, port), check.timeout).close()
    return ""


def _get(endpoint: str, check: Check) -> str:
    connection = http.client.HTTPConnection(*_split(endpoint), timeout=check.timeout)
    try:
        # Frameworks that accept known host names only know this one.
        connection.request("GET", check.http, headers={"Host": "localhost", "User-Agent": "stackyard-health"})
        status = connection.getresponse().status
    finally:
        connection.close()
    return "" if 200 <= status < 400 else f"GET {check.http} answers {status}"


def _split(endpoint: str) -> tuple[str, int]:
    host, port = endpoint.rsplit(":", 1)
    return host.strip("[]"), int(port)


def _what(check: Check) -> str:
    return f"GET {check.http}" if check.http else f"a connection to port {check.port}"
