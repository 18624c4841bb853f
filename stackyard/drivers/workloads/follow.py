# SPDX-License-Identifier: Apache-2.0
"""Reading the logs of containers on many nodes, once or as they grow.

Used by `swarm.py`; the order is `logs.py`'s work, the cutting into lines `records.py`'s. The nodes
are asked themselves: the manager's service logs lose order and lines.
"""

from __future__ import annotations

import calendar
import collections
import contextlib
import select
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator

import requests

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine
from stackyard.drivers.workloads.events import BROKEN, CREATED, NOTHING_KNOWN, STARTED, Hub, interrupt
from stackyard.drivers.workloads.logs import Reorder, merged
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.records import Record, Records
from stackyard.model import errors
from stackyard.model.ports import LogLine

LOOK_SECONDS = 2.0
STALL_SECONDS = 3.0
COMING_SECONDS = 1.0
QUEUE_LENGTH = 2_000
SLICE_SECONDS = 0.05
READ_SECONDS = 20.0


def replica_name(container: Container) -> str:
    """Return `service.slot.task`: which replica, told apart from the same slot of another release."""
    return f"{container.labels.get(spec.SERVICE, '')}.{container.slot}.{container.task[:5]}"


def read_all(containers: Iterable[Container], tail: int | None) -> Iterator[LogLine]:
    """Yield what the containers have logged so far, in order."""
    return merged({each.task: read(each, tail) for each in containers}, tail)


def read(container: Container, tail: int | None) -> Iterator[LogLine]:
    """Yield one container's lines so far, as its engine keeps them; none when it is gone."""
    records = Records()
    try:
        with _open(container, follow=False, tail=tail) as answer:
            for data in answer.iter_content(chunk_size=None):
                yield from (_line(container, each) for each in records.feed(data))
        yield from (_line(container, each) for each in records.finish())
    except errors.NotFound:
        return
    except BROKEN as error:
        raise NodeEngine(container.node).unavailable(f"its log broke off: {error}") from error


def _open(
    container: Container, *, follow: bool, tail: int | None, since: str = ""
) -> contextlib.AbstractContextManager[requests.Response]:
    return NodeEngine(container.node).stream(
        "GET",
        f"/containers/{container.listed['Id']}/logs",
        idle=None if follow else READ_SECONDS,
        stdout=1,
        stderr=1,
        timestamps=1,
        follow=int(follow),
        tail="all" if tail is None else tail,
        since=since,
    )


def _line(container: Container, record: Record) -> LogLine:
    return LogLine(
        at=record.at,
        service=container.labels.get(spec.SERVICE, ""),
        replica=replica_name(container),
        stream=record.stream,
        text=record.text,
    )


class Source:
    """One container's growing log, read by a thread of its own into a bounded queue.

    A full queue makes the thread wait, and the engine with it. `caught_up` says that everything
    which had been written when the reading began has been queued.
    """

    def __init__(self, container: Container, tail: int | None, bell: threading.Condition, since: str = "") -> None:
        self.container = container
        self.queue: collections.deque[tuple[float, LogLine]] = collections.deque()
        self.caught_up = False
        self.ended = False
        self.broken = False
        self.last_at = since
        self.progress = time.monotonic()
        self._since = since
        self._tail = tail
        self._bell = bell
        self._stop = False
        self._answer: requests.Response | None = None
        self._descriptor = -1
        self._thread = threading.Thread(target=self._run, name=f"log-{container.task}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the reading, now; safe from any thread."""
        self._stop = True
        interrupt(self._answer)

    def unread(self) -> bool:
        """Tell whether bytes have come that the thread has not taken yet."""
        if self.ended or self._descriptor < 0:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return any(event & select.POLLIN for _, event in poll.poll(0))

    def join(self, timeout: float) -> None:
        """Wait until the thread has gone."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._read()
        except errors.NotFound:
            pass
        except (errors.StackyardError, *BROKEN):
            self.broken = not self._stop
        finally:
            with self._bell:
                self._descriptor = -1
                self.caught_up = self.ended = True
                self._bell.notify_all()

    def _read(self) -> None:
        records = Records()
        with _open(self.container, follow=True, tail=self._tail, since=since_parameter(self._since)) as answer:
            self._answer, self._descriptor = answer, answer.raw.fileno()
            newest = self._newest() if self._tail != 0 else ""
            self._put([], caught_up=records.last_at >= newest)
            pieces = answer.iter_content(chunk_size=None)
            while not self._stop and (data := next(pieces, None)):
                self._put(records.feed(data), caught_up=records.last_at >= newest)
            self._put(records.finish(), caught_up=True)

    def _newest(self) -> str:
        """Return the time of the newest record there is, asked after the stream was opened ("" for none)."""
        records = Records()
        with _open(self.container, follow=False, tail=1) as answer:
            records.feed(answer.content)
        return records.last_at

    def _put(self, records: list[Record], *, caught_up: bool) -> None:
        arrived = time.monotonic()
        new = [_line(self.container, each) for each in records if each.at > self._since]
        with self._bell:
            self.queue.extend((arrived, line) for line in new)
            self.last_at = max([self.last_at, *(line.at for line in new)])
            self.caught_up, self.progress = caught_up, arrived
            self._bell.notify_all()
            self._bell.wait_for(lambda: self._stop or len(self.queue) < QUEUE_LENGTH)


def since_parameter(at: str) -> str:
    """Return an RFC 3339 time as the engine's `since` (seconds with nine digits); "" stays."""
    if not at:
        return ""
    whole, _, fraction = at.rstrip("Z").partition(".")
    return f"{calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S'))}.{fraction:0<9}"


class LogStream(Iterator[LogLine]):
    """The followed logs of an application; endless until `close` is called, from whichever thread.

    New containers join as they appear, those that go away finish. `poll` is for callers that must do
    something (find out that their reader has gone) while nothing is logged.
    """

    def __init__(self, hub: Hub, app_id: str, look: Callable[[], list[Container]], tail: int | None) -> None:
        # Threads know the follower only, so that a stream which is dropped unclosed ends as well.
        self._follower = _Follower(look, tail)
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

    def close(self) -> None:
        """End all reading; whoever waits for a line gets StopIteration."""
        self._finalizer()

    def __enter__(self) -> LogStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Follower:
    """The sources of one stream, the thread that finds new ones, and their common order."""

    def __init__(self, look: Callable[[], list[Container]], tail: int | None) -> None:
        self.closing = threading.Event()
        self._look = look
        self._tail = tail
        self._bell = threading.Condition()
        self._news = threading.Event()
        self._coming: dict[str, float] = {}
        self._sources: dict[str, Source] = {}
        self._reorder = Reorder()
        self._scout: threading.Thread | None = None

    def begin(self, hub: Hub, app_id: str) -> None:
        """Open what there is (raises Unavailable) and go on looking for more."""
        listening = hub.listening(app_id, self._hear)
        listening.__enter__()
        try:
            self._join(self._look(), self._tail)
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
        return self.closing.is_set() or any(each.queue for each in self._sources.values())

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
        batch: list[tuple[float, str, LogLine]] = []
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
                self._news.wait(LOOK_SECONDS)
                self._news.clear()
                # A node that does not answer must not end the logs of the others; there will be another look.
                with contextlib.suppress(errors.StackyardError):
                    self._join(self._look(), None)
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
                    self._sources[key] = Source(container, tail, self._bell, old.last_at if old else "")
                    self._reorder.behind(container.task)
            for key in (*listed, NOTHING_KNOWN):
                self._coming.pop(key, None)
            over = [key for key, each in self._sources.items() if each.ended and not each.queue and key not in listed]
            for key in over:
                self._reorder.caught_up(self._sources.pop(key).container.task)
