# SPDX-License-Identifier: Apache-2.0
"""Putting the log lines of many containers in the true order of their times.

Used by `follow.py`; pure: times of arrival are passed in, nothing is read. Lines are compared by the
engine's time (RFC 3339, nine digits), then by their source, then by their order within the source,
so ties come out the same way each time.
"""

from __future__ import annotations

import collections
import heapq
from collections.abc import Iterable, Iterator

from stackyard.model.logs import LogLine, late

Key = tuple[str, str, int]
WINDOW = 0.17
LOOKAHEAD = 64
NEAR = 8
LARGEST = 20_000


def settled(source: str, lines: Iterable[LogLine]) -> Iterator[tuple[Key, LogLine]]:
    """Yield one container's lines in order: its two streams may have been written a few records apart."""
    ahead: list[tuple[Key, LogLine]] = []
    for number, line in enumerate(lines):
        heapq.heappush(ahead, ((line.at, source, number), line))
        if len(ahead) > LOOKAHEAD:
            yield heapq.heappop(ahead)
    yield from (heapq.heappop(ahead) for _ in range(len(ahead)))


def merged(sources: dict[str, Iterable[LogLine]], tail: int | None = None) -> Iterator[LogLine]:
    """Yield finished logs by source as one, in order; of all lines only the last `tail`."""
    lines = (line for _, line in heapq.merge(*(settled(*each) for each in sources.items())))
    yield from lines if tail is None else collections.deque(lines, maxlen=tail)


class _Behind:
    """How far a source has come whose own lines may be a few records out of order."""

    def __init__(self) -> None:
        self.settled = ""
        self._newest: collections.deque[str] = collections.deque()

    def saw(self, at: str) -> None:
        self._newest.append(at)
        if len(self._newest) > LOOKAHEAD:
            self.settled = max(self.settled, self._newest.popleft())


class Reorder:
    """Holds growing logs back until their order is known.

    A line is due when it has been here for `window` seconds: whatever is older than it and late by no
    more than that has come by then, however the nodes' clocks differ from ours. A source that is
    behind (it still sends what was written before) holds back all lines newer than its own last.
    """

    def __init__(self, window: float = WINDOW, passed: str = "") -> None:
        """Begin behind a line of the time `passed`: what is older comes late."""
        self.held = False
        self._passed = passed
        self._window = window
        self._heap: list[tuple[Key, bool, LogLine]] = []
        self._arrivals: collections.deque[tuple[float, Key]] = collections.deque()
        self._ripe: Key = ("", "", 0)
        self._behind: dict[str, _Behind] = {}
        self._newest: dict[str, collections.deque[str]] = collections.defaultdict(
            lambda: collections.deque(maxlen=NEAR)
        )
        self._numbers: collections.Counter[str] = collections.Counter()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def full(self) -> bool:
        """Tell whether no more should be pushed, but from the sources that are behind."""
        return len(self._heap) >= LARGEST

    def behind(self, source: str) -> None:
        """Say that the source still has older lines to send."""
        self._behind.setdefault(source, _Behind())

    def caught_up(self, source: str) -> None:
        """Say that the source sends its lines as they are written, or has ended."""
        self._behind.pop(source, None)

    @property
    def waiting_for(self) -> frozenset[str]:
        """Return the sources that are behind."""
        return frozenset(self._behind)

    def forget(self, source: str) -> None:
        """Say that the source has ended for good."""
        self.caught_up(source)
        self._newest.pop(source, None)
        self._numbers.pop(source, None)

    def push(self, source: str, line: LogLine, arrived: float) -> None:
        """Take a line that arrived at this (monotonic) time; times never go back."""
        self._numbers[source] += 1
        self._newest[source].append(line.at)
        key = (line.at, source, self._numbers[source])
        heapq.heappush(self._heap, (key, source in self._behind, line))
        self._arrivals.append((arrived, key))
        if source in self._behind:
            self._behind[source].saw(line.at)

    def due(self, now: float, unread: Iterable[str] = ()) -> list[LogLine]:
        """Return the lines whose turn has come, in order; `unread` are sources that have more to be taken just now.

        What is older than a line returned before comes with the mark that it is late.
        """
        while self._arrivals and self._arrivals[0][0] + self._window <= now:
            self._ripe = max(self._ripe, self._arrivals.popleft()[1])
        if self.held:
            return []
        limits = [each.settled for each in self._behind.values()]
        limits += [min(self._newest[source], default="") for source in unread]
        limit = min(limits, default=None)
        found = []
        while self._heap and self._heap[0][0] <= self._ripe and (limit is None or self._heap[0][0][0] <= limit):
            found.append(heapq.heappop(self._heap)[2])
        marked = list(late(found, self._passed))
        self._passed = max([self._passed, *(line.at for line in found[-1:])])
        return marked

    def trim(self, tail: int) -> None:
        """Keep only the last `tail` of the lines that came from sources while they were behind."""
        old = sorted(each for each in self._heap if each[1])
        dropped = {each[0] for each in old[: max(0, len(old) - tail)]}
        self._heap = [each for each in self._heap if each[0] not in dropped]
        heapq.heapify(self._heap)

    def next_due(self) -> float | None:
        """Return the (monotonic) time at which to look again; None when nothing waits."""
        return self._arrivals[0][0] + self._window if self._arrivals else None
