# SPDX-License-Identifier: Apache-2.0
"""Log lines kept in files of the state folder: implements the port LogStore.

One folder per application, readable by the platform's user alone: `segments.py` has the kept lines, `keeper.py`
their only writer, `inbox.py` what others hand in. Readers need no lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence

from stackyard.drivers.logs import inbox, segments
from stackyard.drivers.logs.keeper import LOCK, Bounds, Keeper
from stackyard.drivers.logs.segments import Kept
from stackyard.model import errors
from stackyard.model.logs import Checkpoint, LogLine, stamp

GOING = ".going-"
SKEW_SECONDS = 60.0
"""How far a node's clock may be before that of the disk."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


class FileLogStore:
    """Lines of all applications under one folder."""

    def __init__(self, folder: pathlib.Path, bounds: Bounds | None = None) -> None:
        self._folder = folder
        self._bounds = bounds or Bounds()

    def append(self, app_id: str, lines: Sequence[LogLine]) -> None:
        """Hand lines in, from any process: the keeper puts them in order with the containers' own.

        `app_id` is the deployment's `workload_id`. Say `FileLogStore(state_folder / "lines").append(...)`, or use
        `assembly.Parts.logs`. Of a LogLine give `at` (RFC 3339 in UTC, ending in Z), `service` (`router`), `replica`
        (what to show before the text, e.g. `router`), `stream` (`access`) and `text`; and `source`, unlike any other
        writer's, where several processes write for one service: the times of one source must not go back. A line
        should be handed in within 100 ms of its time, or it may be shown as late. Raises Unavailable when the disk is
        full, or when too much waits.
        """
        try:
            inbox.put(self._of(app_id), lines)
        except OSError as error:
            raise errors.Unavailable(f"log lines can't be handed in: {error}") from error

    def keeper(self, app_id: str) -> Keeper:
        """Become the one who keeps; raises Conflict while another process is, Unavailable when the disk is full."""
        return Keeper(self._of(app_id), self._bounds)

    def kept(self, app_id: str) -> bool:
        """Tell whether somebody keeps the lines now."""
        try:
            descriptor = os.open(self._of(app_id) / LOCK, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def state(self, app_id: str, position: int | None = None) -> Checkpoint:
        """Return how far the kept lines go, or went up to a position."""
        return segments.state(self._of(app_id), position)

    def read(self, app_id: str, after: int = 0, since: str = "") -> Iterator[Kept]:
        """Yield lines behind a position, each with the position behind it; those older than `since` may be left out."""
        for segment in segments.from_position(segments.segments(self._of(app_id)), after):
            if not (since and _ended_before(segment[1], since)):
                yield from segments.lines(segment, after)

    def newest(self, app_id: str, count: int, wanted: Callable[[LogLine], bool]) -> list[Kept]:
        """Return the last lines that are wanted, oldest first."""
        found: list[Kept] = []
        for segment in reversed(segments.segments(self._of(app_id))):
            if len(found) >= count:
                break
            found = [each for each in segments.lines(segment) if wanted(each[1])] + found
        return found[len(found) - min(count, len(found)) :]

    def delete(self, app_id: str) -> None:
        """Forget an application's lines; what a crash leaves of it is removed with the next one's."""
        folder = self._of(app_id)
        with contextlib.suppress(FileNotFoundError):
            folder.rename(folder.with_name(f"{GOING}{app_id}"))
        for going in self._folder.glob(f"{GOING}*"):
            shutil.rmtree(going, ignore_errors=True)

    def ids(self) -> list[str]:
        """Return the applications of which there is anything."""
        try:
            return sorted(name for name in os.listdir(self._folder) if _ID.fullmatch(name))
        except FileNotFoundError:
            return []

    def _of(self, app_id: str) -> pathlib.Path:
        if not _ID.fullmatch(app_id):
            raise errors.BadInput(f"'{app_id[:40]}' is no application's id")
        return self._folder / app_id


def _ended_before(path: pathlib.Path, since: str) -> bool:
    """Tell whether a file was written to for the last time before `since`; its lines are older then."""
    try:
        return stamp(path.stat().st_mtime + SKEW_SECONDS) < since
    except FileNotFoundError:
        return True
