# SPDX-License-Identifier: Apache-2.0
"""A way to die on purpose: tests kill processes at a named step and see that nothing is lost.

A file `kill-at` in the platform's run folder, `{"at": "before:JoinMachines", "pids": [123]}`, makes the worker that
comes to that step first kill these processes and itself with SIGKILL. Without the file this costs one stat.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal

NAME = "kill-at"


class Faults:
    """The points at which a worker may be told to die. `folder` is the platform's run folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.order = folder / NAME

    def point(self, moment: str, step: str) -> None:
        """Die here if the file says so; it is removed first, so that it happens once. `moment`: before, after."""
        try:
            order = json.loads(self.order.read_text())
            if order["at"] != f"{moment}:{step}":
                return
            self.order.unlink()
        except FileNotFoundError:
            return
        for pid in {*order["pids"]} - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)  # last: who is dead kills nobody
