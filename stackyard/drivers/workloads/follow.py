# SPDX-License-Identifier: Apache-2.0
"""Following the logs of an application's containers on all nodes, as one stream in the order of their times.

Used by `swarm.py`; one log is read by `sources.py`, put in order by `logs.py`.
"""

from __future__ import annotations

import collections
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator

from stackyard.drivers.workloads.events import CREATED, NOTHING_KNOWN, STARTED, Hub
from stackyard.drivers.workloads.logs import Reorder
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.sources import QUEUE_LENGTH, Source
from stackyard.model import errors
from stackyard.model.logs import Checkpoint, LogLine

LOOK_SECONDS = 2.0
STALL_SECONDS = 3.0
COMING_SECONDS = 1.0
SLICE_SECONDS = 0.05

Look = Callable[[float], list[Container]]
"""Returns an application's containers as they were at this (monotonic) time or later."""


class LogStream(Iterator[LogLine]):
    """The followed logs of an application; endless until `close` is called, from whichever thread.

    New containers join as they appear, those that go away finish. `poll` is for callers that must do
    something (find out that their reader has gone) while nothing is logged.
    """

    def __init__(
        self, hub: Hub, app_id: str, look: Look, tail: int | None = None, after: Checkpoint | None = None
    ) -> None:
        # Threads know the follower only, so that a stream which is dropped unclosed ends as well.
        self._follower = _Follower(look, tail, after or Checkpoint())
        self._ready: collections.deque[LogLine] = collections.deque()
        self._finalizer = weakref.finalize(self, self._follower.close)
        self._follower.begin(hub, app_id)

    def __next__(self) -> LogLine:
        while not self._ready:
            if self._follower.closing.is_set():
                raise StopIteration
            self._ready.extend(self._follower.poll(LOOK_SECONDS))
        return self._ready.popleft()

    def poll(self, timeout: float) -> list[LogLine]:
        """Return the lines that are due, waiting up to `timeout` seconds for the first; empty when none came."""
        lines = list(self._ready) or self._follower.poll(timeout)
        self._ready.clear()
        return lines

    def add(self, lines: Iterable[LogLine]) -> None:
        """Put lines from elsewhere in order with the containers' own."""
        self._follower.add(lines)

    def changed(self) -> bool:
        """Tell whether a container began, ended or was found ill or well since this was asked last."""
        return self._follower.changed()

    def close(self) -> None:
        """End all reading; whoever waits for a line gets StopIteration."""
        self._finalizer()

    def __enter__(self) -> LogStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Follower:
    """The sources of one stream, the thread that finds new ones, and their common order."""

    def __init__(self, look: Look, tail: int | None, after: Checkpoint) -> None:
        self.closing = threading.Event()
        self._look = look
        self._tail = tail
        self._after = after.marks
        self._added: collections.deque[tuple[float, LogLine]] = collections.deque()
        self._bell = threading.Condition()
        self._news = threading.Event()
        self._changed = threading.Event()
        self._coming: dict[str, float] = {}
        self._sources: dict[str, Source] = {}
        self._reorder = Reorder(passed=after.last)
        self._scout: threading.Thread | None = None

    def begin(self, hub: Hub, app_id: str) -> None:
        """Open what there is (raises Unavailable) and go on looking for more."""
        listening = hub.listening(app_id, self._hear)
        listening.__enter__()
        try:
            self._join(self._look(time.monotonic()), self._tail)
        except BaseException:
            listening.__exit__(None, None, None)
            raise
        self._reorder.held = self._tail is not None
        self._scout = threading.Thread(target=self._search, args=(listening,), name=f"logs-{app_id[:8]}", daemon=True)
        self._scout.start()

    def _hear(self, action: str, container: str) -> None:
        """Hold all lines back from a container's creation until its log is opened: its first may be older than they."""
        with self._bell:
            if action in {CREATED, STARTED, NOTHING_KNOWN}:
                self._coming[container] = time.monotonic()
            else:
                self._coming.pop(container, None)
        if action != CREATED:
            self._news.set()
            self._changed.set()

    def changed(self) -> bool:
        found = self._changed.is_set()
        self._changed.clear()
        return found

    def close(self) -> None:
        self.closing.set()
        self._news.set()
        with self._bell:
            sources = list(self._sources.values())
            self._bell.notify_all()
        for source in sources:
            source.close()
        for source in sources:
            source.join(1.0)
        if self._scout is not None:
            self._scout.join(1.0)

    def add(self, lines: Iterable[LogLine]) -> None:
        arrived = time.monotonic()
        with self._bell:
            self._added.extend((arrived, line) for line in lines)
            self._bell.notify_all()

    def poll(self, timeout: float) -> list[LogLine]:
        end = time.monotonic() + timeout
        while not self.closing.is_set():
            now = time.monotonic()
            lines = self._due(now)
            if lines or now >= end:
                return lines
            self._rest(now, end)
        return []

    def _rest(self, now: float, end: float) -> None:
        """Sleep until a line is due; the arrival of others wakes nobody while one waits already."""
        due = self._reorder.next_due()
        if due is not None or len(self._reorder):
            self.closing.wait(min(max((due or end) - now, 0.005), SLICE_SECONDS))
            return
        with self._bell:
            self._bell.wait_for(self._stirs, end - now)

    def _stirs(self) -> bool:
        return self.closing.is_set() or bool(self._added) or any(each.queue for each in self._sources.values())

    def _due(self, now: float) -> list[LogLine]:
        with self._bell:
            # When this process, or the whole machine, has paused, all that has come must be read before more is let go.
            unread = [each.container.task for each in self._sources.values() if each.unread()]
            self._drain(now)
            if any(now - since < COMING_SECONDS for since in self._coming.values()):
                return []
            if self._reorder.held and not self._reorder.waiting_for:
                self._reorder.held = False
                self._reorder.trim(self._tail or 0)
            return self._reorder.due(now, unread)

    def _drain(self, now: float) -> None:
        """Move the queued lines, in the order of their arrival, to where they are put in order."""
        batch = [(arrived, line.source, line) for arrived, line in self._added]
        self._added.clear()
        calm: list[str] = []
        for source in self._sources.values():
            name = source.container.task
            if self._reorder.full and name not in self._reorder.waiting_for:
                continue
            if len(source.queue) >= QUEUE_LENGTH:
                self._reorder.behind(name)
            elif source.caught_up or now - source.progress > STALL_SECONDS:
                calm.append(name)
            batch += [(arrived, name, line) for arrived, line in source.queue]
            source.queue.clear()
        for arrived, name, line in sorted(batch, key=lambda each: each[0]):
            self._reorder.push(name, line, arrived)
        for name in calm:
            self._reorder.caught_up(name)
        if batch:
            self._bell.notify_all()

    def _search(self, listening: contextlib.AbstractContextManager[None]) -> None:
        try:
            while not self.closing.is_set():
                told = self._news.wait(LOOK_SECONDS)
                self._news.clear()
                since = time.monotonic() - (0 if told else LOOK_SECONDS)
                # A node that does not answer must not end the logs of the others; there will be another look.
                with contextlib.suppress(errors.StackyardError):
                    self._join(self._look(since), None)
        finally:
            listening.__exit__(None, None, None)

    def _join(self, containers: list[Container], tail: int | None) -> None:
        """Begin to read containers that are new or whose reading broke off; forget those that are gone."""
        with self._bell:
            if self.closing.is_set():
                return
            listed = {each.listed["Id"]: each for each in containers if each.listed["State"] != "created"}
            for key, container in listed.items():
                old = self._sources.get(key)
                if old is None or (old.broken and not old.queue):
                    after = old.passed if old else self._after.of(container.task)
                    self._sources[key] = Source(container, tail, self._bell, after)
                    self._reorder.behind(container.task)
            for key in (*listed, NOTHING_KNOWN):
                self._coming.pop(key, None)
            over = [key for key, each in self._sources.items() if each.ended and not each.queue and key not in listed]
            for key in over:
                self._reorder.forget(self._sources.pop(key).container.task)
