# SPDX-License-Identifier: Apache-2.0
"""The one writer of an application's kept lines. Used by `files.py`; the collector of the worker holds it.

A lock on a file says who writes; the kernel lets it go with the process. What a crash left is put right at the next
beginning: a torn last line is cut off, a file without its first line deleted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import time
from collections.abc import Iterator, Sequence

from stackyard.drivers.logs import inbox, segments
from stackyard.model import errors
from stackyard.model.logs import Checkpoint, LogLine, stamp

LOCK = "keeper.lock"
MARKS = 2_000
PIECE = 128 * 1024
LOCK_SECONDS = 0.2
SEGMENTS = 16


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What is kept per application: `size` in bytes and `age` in seconds."""

    size: int = 64 * 1024 * 1024
    age: float = 7 * 86400.0

    @property
    def segment(self) -> int:
        """Return the size of one file."""
        return max(min(1024 * 1024, self.size // SEGMENTS), 4096)


class Keeper:
    """Writes behind all other lines; raises Conflict while another does."""

    def __init__(self, folder: pathlib.Path, bounds: Bounds) -> None:
        self._folder = folder
        self._bounds = bounds
        self._file = -1
        self._start = 0
        self._begun = 0.0
        with _disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(folder / LOCK)
        try:
            with _disk(folder):
                self._recover()
        except BaseException:
            self.close()
            raise
        self._inbox = inbox.Inbox(folder, self._state.marks.copy())

    @property
    def state(self) -> Checkpoint:
        """Return how far the kept lines go."""
        return dataclasses.replace(self._state, marks=self._state.marks.copy())

    def write(self, lines: Sequence[LogLine]) -> None:
        """Keep lines behind all others; raises Unavailable when the disk is full, NotFound when all was deleted.

        To be called without lines now and then, where none come: what is too old goes then.
        """
        if not lines:
            with _disk(self._folder):
                self._roll(0)
        oldest = stamp(time.time() - self._bounds.age)
        waiting = [line for line in lines if line.at >= oldest]
        while waiting:
            count, size = 0, 0
            data: list[bytes] = []
            while count < len(waiting) and size < PIECE:
                data.append(segments.encoded(waiting[count]))
                size += len(data[-1])
                count += 1
            with _disk(self._folder):
                self._roll(size)
                self._put(waiting[:count], data)
            waiting = waiting[count:]

    def handed_in(self) -> list[LogLine]:
        """Return what other processes handed in since the last time."""
        with _disk(self._folder):
            return self._inbox.take(self._state.marks)

    def close(self) -> None:
        """Let others keep."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _recover(self) -> None:
        found = segments.segments(self._folder)
        while found and segments.opened(found[-1]) is None:
            found.pop()[1].unlink()
        self._state = segments.state(self._folder)
        if found:
            self._start, path = found[-1]
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
            end = max((behind for behind, _ in segments.raw(found[-1], 0)), default=self._start)
            os.ftruncate(self._file, end - self._start)
            self._state = dataclasses.replace(self._state, position=end)
            self._begun = path.stat().st_mtime

    def _roll(self, coming: int) -> None:
        """Begin a new file where the present one is full or old, and delete what is beyond the bounds."""
        full = self._state.position + coming - self._start > self._bounds.segment
        if self._file >= 0 and not full and time.time() - self._begun < self._bounds.age / SEGMENTS:
            if os.fstat(self._file).st_nlink == 0:
                raise errors.NotFound("the kept lines were deleted")
            return
        self._drop()
        trimmed = dataclasses.replace(self._state, marks=self._state.marks.trimmed(MARKS))
        first, path = segments.header(trimmed), segments.path_of(self._folder, self._state.position)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        if os.write(file, first) < len(first):
            os.close(file)
            path.unlink()
            raise OSError("no room for the beginning of a file")
        if self._file >= 0:
            os.close(self._file)
        self._file, self._start, self._begun = file, self._state.position, time.time()
        self._state = dataclasses.replace(trimmed, position=self._start + len(first))

    def _drop(self) -> None:
        found = segments.segments(self._folder)
        total = sum(path.stat().st_size for _, path in found) + self._bounds.segment
        for _, path in found:
            told = path.stat()
            if total <= self._bounds.size and told.st_mtime > time.time() - self._bounds.age:
                return
            path.unlink()
            total -= told.st_size

    def _put(self, lines: Sequence[LogLine], data: Sequence[bytes]) -> None:
        """Append the lines; of those that found room, all are kept, since readers may have seen them."""
        joined, written, reason = b"".join(data), 0, ""
        try:
            while written < len(joined):
                written += os.write(self._file, joined[written:])
        except OSError as error:
            reason = str(error)
        position, last = self._state.position, self._state.last
        end = position + written
        for line, piece in zip(lines, data, strict=True):
            if position + len(piece) > end:
                break
            position, last = position + len(piece), max(last, line.at)
            self._state.marks.advance(line)
        self._state = dataclasses.replace(self._state, position=position, last=last)
        if reason:
            os.ftruncate(self._file, position - self._start)
            raise OSError(reason)


def _locked(path: pathlib.Path) -> int:
    """Take the lock; who merely asks whether it is taken holds it for a moment."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise errors.Conflict("another process keeps these lines") from None
            time.sleep(0.01)
        else:
            return descriptor


@contextlib.contextmanager
def _disk(folder: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise errors.NotFound(f"the kept lines were deleted: {error}") from error
    except OSError as error:
        raise errors.Unavailable(f"log lines can't be kept in {folder}: {error}; make room on that disk") from error
