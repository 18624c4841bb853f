# SPDX-License-Identifier: Apache-2.0
"""Content on its way: counted, watched by a thread that ends it when it is not wanted any more, one at a time.

Used by the noun backup. A transfer holds a thread of the worker for as long as it lasts, so that a process carries only
one: pushes and whatever else find the others free.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from stackyard.model import errors
from stackyard.model.backups import Backup
from stackyard.model.ports import Stream
from stackyard.model.records import utcnow
from stackyard.store import Store

LOG = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
TURN_SECONDS = 1.0
SAID = 4000


class Transfer:
    """One step's content: what `through` lets pass is counted, and comes to an end when nobody wants it."""

    def __init__(self, store: Store, record: Backup) -> None:
        self.moved = 0
        self.unwanted = ""
        self._store = store
        self._record = record
        self._over = threading.Event()
        self._stream: Stream | None = None

    def through(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """Yield content; raises Retry when it is not wanted any more."""
        for piece in content:
            self.check()
            self.moved += len(piece)
            yield piece
        self.check()

    def check(self) -> None:
        """Raise Retry when it is not wanted any more: the loop looks what is wanted then."""
        if self.unwanted:
            raise errors.Retry(self.unwanted, after=0.0)

    @contextlib.contextmanager
    def watching(self, stream: Stream) -> Iterator[Stream]:
        """Have a stream closed at the end, or as soon as nobody wants it."""
        self._stream = stream
        try:
            yield stream
        finally:
            self._stream = None
            stream.close()

    def watch(self) -> None:
        """Note progress and look whether it is wanted, until it is over."""
        while not self._over.wait(LOOK_SECONDS):
            self.unwanted = self._look()
            stream = self._stream
            if self.unwanted and stream:
                stream.close()

    def end(self) -> None:
        """It is over."""
        self._over.set()

    def _look(self) -> str:
        deadline = self._record.deadline
        if deadline and utcnow() > deadline:
            return "its content did not come to an end in time"
        try:
            with self._store.saving() as tx:
                return "" if tx.backups.progress(self._record, self.moved) else "something else was asked for"
        except errors.StackyardError as error:
            LOG.info("the progress of %s can't be noted: %s", self._record.name, error)
            return ""


class Transfers:
    """Those of a process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = threading.Semaphore(1)

    @contextlib.contextmanager
    def begin(self, record: Backup) -> Iterator[Transfer]:
        """Begin a transfer; raises Retry while another one is under way here."""
        if not self._turn.acquire(blocking=False):
            raise errors.Retry("waiting for another backup to be carried", after=TURN_SECONDS)
        made = Transfer(self._store, record)
        watcher = threading.Thread(target=made.watch, name="transfer", daemon=True)
        watcher.start()
        try:
            yield made
        finally:
            made.end()
            watcher.join()
            self._turn.release()


class Said:
    """The end of what a command says beside its content."""

    def __init__(self) -> None:
        self._data = b""

    def add(self, data: bytes) -> None:
        """Remember."""
        self._data = (self._data + data)[-SAID:]

    def __str__(self) -> str:
        return self._data.decode(errors="replace").strip()


def output(stream: Stream, command: Sequence[str]) -> Iterator[bytes]:
    """Yield what a command writes; raises GiveUp with its own words when it does not end well."""
    said = Said()
    stream.end_input()
    while (piece := stream.read()) is not None:
        if piece[0] == 1:
            yield piece[1]
        else:
            said.add(piece[1])
    _judge(stream, command, said)


def feed(stream: Stream, command: Sequence[str], content: Iterable[bytes]) -> None:
    """Give a command its input, and wait until it ends; raises GiveUp with its own words when that is not well."""
    said = Said()
    reader = threading.Thread(target=_hear, args=(stream, said.add), name="hear", daemon=True)
    reader.start()
    for piece in content:
        stream.write(piece)
    stream.end_input()
    reader.join()
    _judge(stream, command, said)


def _hear(stream: Stream, add: Callable[[bytes], None]) -> None:
    while (piece := stream.read()) is not None:
        add(piece[1])


def _judge(stream: Stream, command: Sequence[str], said: Said) -> None:
    code, reason = stream.result()
    if code:
        raise errors.GiveUp(f"'{shlex.join(command)[:200]}' {reason}\n{said}".rstrip())
