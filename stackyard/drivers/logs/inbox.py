# SPDX-License-Identifier: Apache-2.0
"""Lines that other processes hand in for an application, on their way to the one who keeps them. Used by `files.py`.

A file that is appended to under a lock, and emptied when all of it is kept: what is read twice, after a crash, is
known by the marks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import pathlib
from collections.abc import Iterator, Sequence

from stackyard.drivers.logs import segments
from stackyard.model import errors
from stackyard.model.logs import LogLine, Marks, exact

FILE = "inbox.lines"
LARGEST = 16 * 1024 * 1024
EMPTIED_AT = 256 * 1024


def put(folder: pathlib.Path, lines: Sequence[LogLine]) -> None:
    """Hand lines in; raises Unavailable when too much waits already, OSError when the disk is full."""
    named = [
        dataclasses.replace(line, at=exact(line.at), source=line.source or line.service, late=False) for line in lines
    ]
    data = b"".join(map(segments.encoded, named))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
        size = _whole(file)
        if size + len(data) > LARGEST:
            raise errors.Unavailable("too many log lines wait to be kept; the worker's log says why nobody keeps them")
        try:
            if os.write(file, data) < len(data):
                raise OSError("no room for all lines")
        except OSError:
            os.ftruncate(file, size)
            raise


def _whole(file: int) -> int:
    """Cut off a line that a crash has torn; return the size."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        size = os.pread(file, size, 0).rfind(b"\n") + 1
        os.ftruncate(file, size)
    return size


@contextlib.contextmanager
def _locked(path: pathlib.Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


class Inbox:
    """What was handed in, for the one who keeps; `kept` is what had been kept at the beginning."""

    def __init__(self, folder: pathlib.Path, kept: Marks) -> None:
        self._path = folder / FILE
        self._kept = kept
        self._taken = Marks()
        self._offset = 0

    def take(self, kept: Marks) -> list[LogLine]:
        """Return what is new; forget what is kept by now."""
        try:
            size = os.stat(self._path).st_size
        except FileNotFoundError:
            return []
        if size > self._offset:
            return self._read()
        if size >= EMPTIED_AT and kept.covers(self._taken):
            self._empty()
        return []

    def _read(self) -> list[LogLine]:
        found = []
        for position, line in segments.lines((0, self._path), self._offset):
            self._offset = position
            self._taken.advance(line)
            if not self._kept.skips(line):
                found.append(line)
        return found

    def _empty(self) -> None:
        with _locked(self._path, os.O_RDWR) as file:
            if os.fstat(file).st_size == self._offset:
                os.ftruncate(file, 0)
                self._offset = 0
                self._taken = Marks()
