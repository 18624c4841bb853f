# SPDX-License-Identifier: Apache-2.0
"""When a build must have ended: its time is up, or nobody wants it any more. Used by whatever waits for an engine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from stackyard.model import errors

ASK_SECONDS = 1.0
"""So often it is asked whether the build is still wanted."""


class Deadline:
    """What is under way when it comes is cut off. `unwanted` tells whether the build's result is of no use any more."""

    def __init__(self, seconds: float, unwanted: Callable[[], bool] = lambda: False) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._unwanted = unwanted
        self._ended_early = False

    @property
    def passed(self) -> bool:
        """Tell whether it has come."""
        return self._ended_early or time.monotonic() >= self._end

    def error(self) -> errors.GiveUp:
        """Return what to tell the user."""
        if self._ended_early:
            return errors.GiveUp("the build was broken off, since what it is for is being removed")
        return errors.GiveUp(
            f"the build did not finish within {self.seconds:g} seconds; make it shorter or raise build_seconds"
        )

    @contextlib.contextmanager
    def cutting(self, cut: Callable[[], object]) -> Iterator[None]:
        """Call `cut` from another thread if it comes while the block runs; raises GiveUp at the block's end then."""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over, cut), name="deadline", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            if self.passed:
                raise self.error()

    def _watch(self, over: threading.Event, cut: Callable[[], object]) -> None:
        while not over.wait(min(ASK_SECONDS, max(0.01, self._end - time.monotonic()))):
            # What can't be asked (a database that is away for a moment) is taken for wanted.
            with contextlib.suppress(errors.StackyardError):
                self._ended_early = self._ended_early or self._unwanted()
            if self.passed:
                cut()
                return
