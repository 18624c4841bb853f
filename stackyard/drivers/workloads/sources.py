# SPDX-License-Identifier: Apache-2.0
"""Reading the log of one container from its own node, once or as it grows.

Used by `follow.py` and `swarm.py`; the cutting into lines is `records.py`'s work, the order of many logs `logs.py`'s.
The nodes are asked themselves: the manager's service logs lose order and lines.
"""

from __future__ import annotations

import calendar
import collections
import contextlib
import select
import threading
import time
from collections.abc import Iterable, Iterator

import requests

from stackyard.drivers.workloads import spec
from stackyard.drivers.workloads.api import NodeEngine
from stackyard.drivers.workloads.events import BROKEN, interrupt
from stackyard.drivers.workloads.logs import merged
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.records import Record, Records
from stackyard.model import errors
from stackyard.model.logs import Checkpoint, LogLine, Marks, late

QUEUE_LENGTH = 2_000
SKEW_SECONDS = 5
"""The two streams of a container are written apart; one without a mark may begin before the other's."""
READ_SECONDS = 20.0
GONE = (errors.NotFound, errors.Conflict)
"""What an engine answers for a container that is gone, or just going."""


def replica_name(container: Container) -> str:
    """Return `service.slot.task`: which replica, told apart from the same slot of another release."""
    return f"{container.labels.get(spec.SERVICE, '')}.{container.slot}.{container.task[:5]}"


def read_all(containers: Iterable[Container], tail: int | None, after: Checkpoint | None = None) -> Iterator[LogLine]:
    """Yield what the containers have logged so far (and is not passed at `after`), in order."""
    passed = after or Checkpoint()
    lines = merged({each.task: read(each, tail, passed.marks.of(each.task)) for each in containers}, tail)
    return late(lines, passed.last)


def read(container: Container, tail: int | None, after: Marks | None = None) -> Iterator[LogLine]:
    """Yield one container's lines so far, as its engine keeps them; none when it is gone."""
    records, passed = Records(), after or Marks()
    try:
        with _open(container, follow=False, tail=tail, since=since_parameter(passed.newest())) as answer:
            for data in answer.iter_content(chunk_size=None):
                yield from _new(container, records.feed(data), passed)
        yield from _new(container, records.finish(), passed)
    except GONE:
        return
    except BROKEN as error:
        raise NodeEngine(container.node).unavailable(f"its log broke off: {error}") from error


def _new(container: Container, records: Iterable[Record], passed: Marks) -> list[LogLine]:
    lines = [_line(container, each) for each in records]
    return [line for line in lines if not passed.skips(line)]


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
        source=container.task,
    )


class Source:
    """One container's growing log, read by a thread of its own into a bounded queue.

    A full queue makes the thread wait, and the engine with it. `caught_up` says that everything
    which had been written when the reading began has been queued.
    """

    def __init__(self, container: Container, tail: int | None, bell: threading.Condition, after: Marks) -> None:
        self.container = container
        self.queue: collections.deque[tuple[float, LogLine]] = collections.deque()
        self.caught_up = False
        self.ended = False
        self.broken = False
        self.passed = after
        self.progress = time.monotonic()
        self._passed_before = after.copy()
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
        except GONE:
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
        since = since_parameter(self.passed.newest())
        with _open(self.container, follow=True, tail=self._tail, since=since) as answer:
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
        new = _new(self.container, records, self._passed_before)
        with self._bell:
            self.queue.extend((arrived, line) for line in new)
            for line in new:
                self.passed.advance(line)
            self.caught_up, self.progress = caught_up, arrived
            self._bell.notify_all()
            self._bell.wait_for(lambda: self._stop or len(self.queue) < QUEUE_LENGTH)


def since_parameter(at: str) -> str:
    """Return the engine's `since` (seconds with nine digits) for what comes behind an RFC 3339 time; "" stays."""
    if not at:
        return ""
    whole, _, fraction = at.rstrip("Z").partition(".")
    return f"{calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) - SKEW_SECONDS}.{fraction:0<9}"
