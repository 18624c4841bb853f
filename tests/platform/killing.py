# SPDX-License-Identifier: Apache-2.0
"""Arranges that the platform's API and workers die by SIGKILL at a named step (see `stackyard.worker.faults`).

The platform's supervisor restarts what was killed. What died has held its lease: the next worker goes on when that
ends (the fixture `platform` makes leases short, so that this takes seconds).
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import psutil

from stackyard.local.supervisor import MARKER

BACK_SECONDS = 120
DIE_SECONDS = 180
PARTS = {"api": 2, "worker": 3}
"""How many processes each part has when it is whole."""


def moments(*steps: str) -> list[str]:
    """Return when to kill: with each step done and not yet recorded, and once before anything was done.

    Before a later step is the same moment as after the recording of the one before it.
    """
    return [f"before:{steps[0]}", *(f"after:{step}" for step in steps)]


class Killer:
    """Kills the platform of one state folder."""

    def __init__(self, state_dir: str) -> None:
        self.state_dir = state_dir
        self.order = pathlib.Path(state_dir) / "run" / "kill-at"
        self._armed: list[psutil.Process] = []

    @property
    def done(self) -> bool:
        return not self.order.exists()

    def forget(self) -> None:
        """Take back what nobody has come to."""
        self.order.unlink(missing_ok=True)

    def through(self, ask: Callable[[], object], *steps: str) -> None:
        """Ask for something, and kill at each moment of these steps, one after the other."""
        first, *others = moments(*steps)
        self.arrange(first)
        assert self._armed, "nobody is to die"
        ask()
        for moment in others:
            self.await_death()
            self.arrange(moment)
        self.await_death()

    def arrange(self, moment: str) -> None:
        """Have the worker die at the moment, with all of API and workers once they are back."""
        self._write(moment, [])
        deadline = time.monotonic() + BACK_SECONDS
        while not (victims := self.victims()) and not self.done:
            assert time.monotonic() < deadline, "the platform did not come back"
            time.sleep(0.05)
        if not self.done:
            self._write(moment, victims)

    def await_death(self) -> None:
        deadline = time.monotonic() + DIE_SECONDS
        while not self.done:
            assert time.monotonic() < deadline, f"nobody came to {self.order.read_text()}"
            time.sleep(0.02)
        gone, alive = psutil.wait_procs(self._armed, timeout=10)
        assert not alive, f"after {len(gone)} deaths these live: {alive}"

    def victims(self) -> list[int]:
        """Return the processes of API and workers; none while some of them are missing."""
        found: dict[str, list[int]] = {part: [] for part in PARTS}
        for pid, part in self._processes():
            found.get(part, []).append(pid)
        whole = all(len(found[part]) >= count for part, count in PARTS.items())
        return [pid for pids in found.values() for pid in pids] if whole else []

    def _processes(self) -> Iterator[tuple[int, str]]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                environment = process.environ()
                if environment.get(MARKER) == self.state_dir and process.status() != psutil.STATUS_ZOMBIE:
                    yield process.pid, environment.get("SUPERVISOR_PROCESS_NAME", "")

    def _write(self, moment: str, pids: Sequence[int]) -> None:
        draft = self.order.with_suffix(".draft")
        draft.write_text(json.dumps({"at": moment, "pids": pids}))
        draft.replace(self.order)
        self._armed = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
