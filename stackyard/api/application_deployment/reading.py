# SPDX-License-Identifier: Apache-2.0
"""Reading an application's log: what is kept, then what only the nodes have, each line once and with its place.

Used by `logs.py`. What is kept is in the order in which it was let through, with late lines marked. Following reads
what the collector keeps; where nobody keeps (no worker, full disk), the nodes themselves, until somebody does again.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from stackyard.model import errors
from stackyard.model.logs import Checkpoint, LogLine, Marks, Place, stamp
from stackyard.model.ports import LogStore
from stackyard.model.request_ids import Chain

LOOK_SECONDS = 0.02
CHECK_SECONDS = 1.0
BATCH = 2_000
NONE = Marks()

Shown = tuple[LogLine, Place]


@runtime_checkable
class Pollable(Protocol):
    """A stream of lines that can be asked with patience, as followed logs are."""

    def poll(self, timeout: float) -> list[LogLine]:
        """Return the lines that are due, waiting up to `timeout` seconds for the first."""

    def close(self) -> None:
        """End the reading."""


Nodes = Callable[[bool, Checkpoint], Iterator[LogLine]]
"""Reads the nodes: whether to follow, behind what. Raises Unavailable."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which lines are wanted: of any of the services (none named: of all); times are exact texts, "" for none.

    One with a `chain` has to be asked about lines in their order.
    """

    services: frozenset[str] = frozenset()
    replica: str | None = None
    since: str = ""
    until: str = ""
    chain: Chain | None = None

    def __call__(self, line: LogLine) -> bool:
        """Tell whether a line is wanted."""
        if self.services and line.service not in self.services:
            return False
        if line.at < self.since or (self.until and line.at >= self.until):
            return False
        if self.replica is not None and not _is_replica(self.replica, line):
            return False
        return self.chain is None or self.chain(line)


def _is_replica(wanted: str, line: LogLine) -> bool:
    """Tell whether it is this replica: `web.2` of any release, `web.2.h4x0r`, or as short as `2` or `h4x0r`."""
    name = line.replica if line.replica.startswith(f"{line.service}.") else f"{line.service}.{line.replica}"
    return wanted == name or name.startswith(f"{wanted}.") or wanted in name.removeprefix(f"{line.service}.").split(".")


class Reading:
    """One reader's way through the log of one workload. `nodes` is None where there is no node to ask."""

    def __init__(self, store: LogStore, app_id: str, nodes: Nodes | None, choice: Choice, place: Place) -> None:
        self._store = store
        self._app_id = app_id
        self._nodes = nodes
        self._choice = choice
        self._place = Place(place.position, place.marks.copy())
        self._end = store.state(app_id)
        self._left = Marks()
        if choice.chain is not None:
            choice.chain.learn(line for _, line in store.read(app_id, since=choice.since))
        if place.position > self._end.position:
            raise errors.BadInput("cursor is not of this log, or what is kept was removed; leave it out, or use since")

    # --- what there is -------------------------------------------------------------------------

    def so_far(self, tail: int | None = None) -> Iterator[Shown]:
        """Yield all that is there; raises Unavailable when nodes do not answer and nothing is kept of theirs."""
        rest = self._rest()
        if tail is None:
            return itertools.chain(self._kept(), rest)
        if self._choice.chain is not None:
            return iter(collections.deque(itertools.chain(self._kept(), rest), maxlen=tail))
        last = collections.deque(rest, maxlen=tail)
        return itertools.chain(self._kept_tail(tail - len(last)), last)

    def _kept_so_far(self, tail: int | None) -> Iterator[Shown]:
        return iter(self._kept_tail(tail)) if tail is not None else self._kept()

    def _kept(self) -> Iterator[Shown]:
        for position, line in self._store.read(self._app_id, self._place.position, self._choice.since):
            if position > self._end.position:
                return
            if not self._place.marks.skips(line) and self._choice(line):
                yield line, _place(position, self._place.marks)

    def _kept_tail(self, tail: int) -> list[Shown]:
        if self._place != Place() or self._choice.chain is not None:
            return list(collections.deque(self._kept(), maxlen=tail))
        found = self._store.newest(self._app_id, tail, self._choice)
        return [(line, Place(position)) for position, line in found if position <= self._end.position]

    def _rest(self) -> Iterator[Shown]:
        """Return what the nodes have beyond what is kept: some tenths of a second, unless nobody keeps."""
        behind, left = self._behind()
        self._left = left
        if self._nodes is None:
            return iter(())
        try:
            # All of it, since a place behind the newest lines must be behind those before them as well.
            found = self._nodes(False, behind)
            # What is wrong is found out by the first line, before anything is sent.
            first = list(itertools.islice(found, 1))
        except errors.Unavailable:
            if self._end.position:
                return iter(())
            raise
        passed = (self._pass(line, left) for line in itertools.chain(first, found))
        return (shown for shown in passed if self._choice(shown[0]))

    def _behind(self) -> tuple[Checkpoint, Marks]:
        """Return behind what the nodes are to be read, and what of it is not kept."""
        left = self._place.marks.copy()
        if left:
            for _, line in self._store.read(self._app_id, self._place.position):
                left.skips(line)
        end = self._end
        return Checkpoint(end.position, max(end.last, left.newest()), end.marks.then(left)), left

    def _pass(self, line: LogLine, marks: Marks) -> Shown:
        marks.advance(line)
        return line, _place(self._end.position, marks)

    # --- what comes ----------------------------------------------------------------------------

    def follow(self, tail: int | None = None) -> tuple[Iterator[Shown], Followed]:
        """Return what there is, and what comes behind it; raises Unavailable where nodes have to be asked in vain."""
        if tail is None or self._store.kept(self._app_id):
            shown, self._left = self._kept_so_far(tail), self._behind()[1]
        else:
            shown = iter(list(self.so_far(tail)))
        place = Place(self._end.position, self._left)
        return shown, Followed(self._store, self._app_id, self._nodes, self._choice, place)


class Followed:
    """The lines that come, from a place on."""

    def __init__(self, store: LogStore, app_id: str, nodes: Nodes | None, choice: Choice, place: Place) -> None:
        self._store = store
        self._app_id = app_id
        self._nodes = nodes
        self._choice = choice
        self._place = place
        self._stream: Pollable | None = None
        self._newest = max(store.state(app_id, place.position).last, place.marks.newest())
        self._checked = time.monotonic()
        if not store.kept(app_id):
            self._open()

    @property
    def over(self) -> bool:
        """Tell whether nothing wanted can come any more."""
        return bool(self._choice.until) and stamp(time.time() - CHECK_SECONDS) >= self._choice.until

    def poll(self, timeout: float) -> list[Shown]:
        """Return the wanted lines that are due, waiting up to `timeout` seconds for the first."""
        end = time.monotonic() + timeout
        while True:
            found = self._from_nodes(end) if self._stream else self._from_store()
            wanted = [each for each in found if self._choice(each[0])]
            now = time.monotonic()
            if wanted or now >= end or self.over:
                return wanted
            if not found and now - self._checked > CHECK_SECONDS:
                self._check()
            if not found and not self._stream:
                time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End the reading."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _check(self) -> None:
        """Go over to the nodes where nobody keeps, and back."""
        self._checked = time.monotonic()
        kept = self._store.kept(self._app_id)
        if kept and self._stream:
            self.close()
        elif not kept and not self._stream:
            try:
                self._open()
            except errors.StackyardError:
                return  # they do not answer now; there will be another check

    def _open(self) -> None:
        if self._nodes is None:
            return
        state = self._store.state(self._app_id, self._place.position)
        behind = Checkpoint(state.position, self._newest, state.marks.then(self._place.marks))
        found = self._nodes(True, behind)
        if isinstance(found, Pollable):
            self._stream = found

    def _from_store(self) -> list[Shown]:
        found: list[Shown] = []
        for position, line in self._store.read(self._app_id, self._place.position):
            shown = not self._place.marks.skips(line)
            self._place = Place(position, self._place.marks)
            if shown:
                found.append((self._marked(line), _place(position, self._place.marks)))
            if len(found) >= BATCH:
                break
        return found

    def _from_nodes(self, end: float) -> list[Shown]:
        assert self._stream is not None
        found = []
        for line in self._stream.poll(min(max(end - time.monotonic(), 0), CHECK_SECONDS)):
            self._place.marks.advance(line)
            found.append((self._marked(line), _place(self._place.position, self._place.marks)))
        return found

    def _marked(self, line: LogLine) -> LogLine:
        """Mark as late what is so for this reader: going over from one way of reading to the other may make it so."""
        late = line.at < self._newest
        self._newest = max(self._newest, line.at)
        return dataclasses.replace(line, late=True) if late and not line.late else line


def _place(position: int, marks: Marks) -> Place:
    return Place(position, marks.copy()) if marks else Place(position, NONE)
