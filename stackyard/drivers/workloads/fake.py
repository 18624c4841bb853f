# SPDX-License-Identifier: Apache-2.0
"""Workloads in memory, for tests of what stands above the port; keeps the same contract as the real one.

What a container does is told by `scripts`, by command; without one it runs and says nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from stackyard.model import errors
from stackyard.model.logs import Checkpoint, LogLine, late
from stackyard.model.ports import ClusterAccess, Replica, Run, RunSeen

EPOCH = "2026-01-01T00:00:00."


@dataclasses.dataclass(frozen=True)
class Script:
    """What a container does: it writes `lines`, then ends with `code` (None: goes on), or can't be pulled."""

    lines: tuple[str, ...] = ()
    code: int | None = None
    state: str = "running"
    absent: bool = False


class FakeWorkloads:
    """Runs nothing, but tells of it as an engine would. `silent` are names of nodes that do not answer."""

    def __init__(self, scripts: Mapping[tuple[str, ...] | None, Script] | None = None) -> None:
        self.silent: set[str] = set()
        self.fetched: set[str] = set()
        self.volumes: set[tuple[str, str]] = set()
        self._scripts = dict(scripts or {})
        self._runs: dict[str, Run] = {}
        self._replicas: dict[str, list[Replica]] = collections.defaultdict(list)
        self._lines: list[tuple[str, str, LogLine]] = []
        self._numbers = itertools.count(1)
        self._bell = threading.Condition()
        self._changes = 0
        self._looked = threading.local()

    # --- what tests do to it -------------------------------------------------------------------

    def say(self, replica: Replica, text: str, stream: str = "stdout") -> None:
        """Have a replica log a line."""
        with self._bell:
            self._say(replica, text, stream)
            self._bell.notify_all()

    def fail(self, replica: Replica, reason: str) -> None:
        """End a replica; as the engine does, another one starts in its slot."""
        with self._bell:
            run = self._runs[replica.run]
            slots = self._replicas[replica.run]
            slots[slots.index(replica)] = dataclasses.replace(replica, state="exited", endpoint=None, reason=reason)
            slots.append(self._replica(run, replica.slot, replica.node, replica.endpoint))
            self._changed()

    def put(self, replica: Replica, state: str, reason: str = "") -> None:
        """Put a replica into another state."""
        with self._bell:
            slots = self._replicas[replica.run]
            found = next(index for index, each in enumerate(slots) if each.id == replica.id)
            slots[found] = dataclasses.replace(slots[found], state=state, reason=reason)
            self._changed()

    # --- the port ------------------------------------------------------------------------------

    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        """Return what runs for the application."""
        self._reach(access)
        with self._bell:
            self._looked.changes = self._changes
            return [self._seen(run) for _, run in sorted(self._runs.items()) if run.app_id == app_id]

    def glance(self, access: ClusterAccess, app_id: str, *, usage: bool = False) -> list[RunSeen]:
        """Return what runs; every running replica uses half a core and 20 MiB."""
        with self._bell:
            seen = [self._seen(run) for _, run in sorted(self._runs.items()) if run.app_id == app_id]
        return [dataclasses.replace(run, tasks=tuple(self._glanced(task, usage) for task in run.tasks)) for run in seen]

    def _glanced(self, task: Replica, usage: bool) -> Replica:
        if task.node in self.silent:
            return dataclasses.replace(task, state="unknown", reason=f"node {task.node} does not answer")
        limit = self._runs[task.run].service.memory_bytes
        if not usage or task.state != "running":
            return task
        return dataclasses.replace(task, cpu=0.5, memory=20 << 20, memory_limit=limit)

    def fetch(self, access: ClusterAccess, images: Collection[str]) -> None:
        """Take note."""
        self.fetched |= set(images)

    def start(self, access: ClusterAccess, run: Run) -> None:
        """Start the run or bring it to `run.replicas`."""
        self._reach(access)
        if not run.service.image or self._script(run).absent:
            raise errors.GiveUp(f"image {run.service.image} of {run.service.name} can't be pulled")
        with self._bell:
            current = self._runs.get(run.name)
            if current is not None and current.digest != run.digest:
                self._replicas[run.name].clear()
            self._runs[run.name] = run
            self.volumes |= {(run.app_id, mount.volume) for mount in run.service.mounts}
            self._scale(access, run)
            self._changed()

    def stop(self, access: ClusterAccess, name: str) -> None:
        """Stop and remove the run; volumes stay."""
        self._reach(access)
        with self._bell:
            self._forget(name)
            self._changed()

    def replace(self, access: ClusterAccess, replica: Replica) -> None:
        """Stop a replica; another starts in its slot."""
        self._reach(access)
        with self._bell:
            there = next((each for each in self._replicas[replica.run] if each.id == replica.id), None)
        if there is not None:
            self.fail(there, "killed by signal 15 (SIGTERM: it was asked to stop)")

    def remove(self, access: ClusterAccess, app_id: str) -> None:
        """Remove all of the application."""
        self._reach(access)
        with self._bell:
            for name in [name for name, run in self._runs.items() if run.app_id == app_id]:
                self._forget(name)
            self.volumes = {each for each in self.volumes if each[0] != app_id}
            self._changed()

    def wait(self, access: ClusterAccess, app_id: str, timeout: float) -> None:
        """Return when something changed since this thread looked, or after `timeout`."""
        with self._bell:
            since = self._looked.__dict__.pop("changes", self._changes)
            self._bell.wait_for(lambda: self._changes != since, timeout)

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
        """Return lines in the order of their times."""
        self._reach(access)
        lines = self._lines_of(app_id, service)
        if after:
            passed = after.marks.copy()
            fresh = [line for line in lines if not passed.skips(line)]
            return FakeLogStream(self, app_id, service, fresh, len(lines)) if follow else late(fresh, after.last)
        kept = lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]
        return FakeLogStream(self, app_id, service, kept, len(lines)) if follow else iter(kept)

    def tail(self, access: ClusterAccess, run: str, lines: int) -> str:
        """Return the last lines of the run's newest failed (else any) container."""
        self._reach(access)
        with self._bell:
            replicas = sorted(self._replicas[run], key=lambda each: (each.state == "exited", each.started_at or 0))
            names = {_name(replica) for replica in replicas[-1:]}
            return "\n".join([line.text for _, _, line in self._lines if line.replica in names][-lines:])

    # --- inside --------------------------------------------------------------------------------

    def _reach(self, access: ClusterAccess) -> None:
        for node in access.nodes:
            if node.name in self.silent:
                raise errors.Unavailable(f"the engine of {node.name} ({node.address}) does not answer: it is silent")

    def _changed(self) -> None:
        self._changes += 1
        self._bell.notify_all()

    def _script(self, run: Run) -> Script:
        return self._scripts.get(run.service.command, Script())

    def _forget(self, name: str) -> None:
        self._runs.pop(name, None)
        self._replicas.pop(name, None)
        self._lines = [each for each in self._lines if each[1] != name]

    def _seen(self, run: Run) -> RunSeen:
        ordered = sorted(self._replicas[run.name], key=lambda each: (each.state == "exited", each.slot))
        return RunSeen(
            name=run.name,
            app_id=run.app_id,
            service=run.service.name,
            release=run.release,
            digest=run.digest,
            replicas=run.replicas,
            tasks=tuple(ordered),
        )

    def _scale(self, access: ClusterAccess, run: Run) -> None:
        kept = [each for each in self._replicas[run.name] if each.slot <= run.replicas]
        self._replicas[run.name] = kept
        nodes = [node for node in access.nodes if run.pin in {None, node.name}]
        for slot in sorted(set(range(1, run.replicas + 1)) - {each.slot for each in kept}):
            if not nodes:
                waiting = self._replica(run, slot, "", None)
                kept.append(dataclasses.replace(waiting, state="pending", reason="no node fits"))
                continue
            node = nodes[slot % len(nodes)]
            endpoint = f"{node.address}:{32768 + next(self._numbers)}" if run.service.port else None
            kept.append(self._begin(run, self._replica(run, slot, node.name, endpoint)))

    def _replica(self, run: Run, slot: int, node: str, endpoint: str | None) -> Replica:
        return Replica(
            id=f"task{next(self._numbers)}",
            run=run.name,
            service=run.service.name,
            slot=slot,
            node=node,
            state=self._script(run).state,
            endpoint=endpoint,
            started_at=time.time(),
            healthchecked=run.service.healthcheck is not None,
        )

    def _begin(self, run: Run, replica: Replica) -> Replica:
        script = self._script(run)
        for text in script.lines:
            self._say(replica, text, "stdout")
        if script.code is None:
            return replica
        return dataclasses.replace(replica, state="exited", endpoint=None, reason=f"exited with code {script.code}")

    def _say(self, replica: Replica, text: str, stream: str) -> None:
        at = f"{EPOCH}{next(self._numbers):09d}Z"
        line = LogLine(at=at, service=replica.service, replica=_name(replica), stream=stream, text=text)
        self._lines.append((self._runs[replica.run].app_id, replica.run, line))

    def _lines_of(self, app_id: str, service: str | None) -> list[LogLine]:
        with self._bell:
            return [line for app, _, line in self._lines if app == app_id and service in {None, line.service}]


class FakeLogStream(Iterator[LogLine]):
    """The followed lines of a FakeWorkloads; endless until `close` is called, from whichever thread."""

    def __init__(self, fake: FakeWorkloads, app_id: str, service: str | None, ready: list[LogLine], count: int) -> None:
        self._fake = fake
        self._of = (app_id, service)
        self._ready = collections.deque(ready)
        self._count = count
        self._closed = False

    def __next__(self) -> LogLine:
        while not self._ready:
            if self._closed:
                raise StopIteration
            self._ready.extend(self.poll(0.05))
        return self._ready.popleft()

    def poll(self, timeout: float) -> list[LogLine]:
        """Return the lines that are there, waiting up to `timeout` seconds for the first."""
        if self._ready:
            ready = list(self._ready)
            self._ready.clear()
            return ready
        end = time.monotonic() + timeout
        while not self._closed and time.monotonic() < end:
            lines = self._fake._lines_of(*self._of)
            if len(lines) > self._count:
                new, self._count = lines[self._count :], len(lines)
                return new
            time.sleep(0.005)
        return []

    def add(self, lines: Sequence[LogLine]) -> None:
        """Take lines from elsewhere."""
        self._ready.extend(lines)

    def close(self) -> None:
        """End it; whoever waits for a line gets StopIteration."""
        self._closed = True


def _name(replica: Replica) -> str:
    return f"{replica.service}.{replica.slot}.{replica.id}"
