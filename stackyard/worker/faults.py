# SPDX-License-Identifier: Apache-2.0
"""A way to die on purpose: tests kill the worker at a named step and see that nothing is lost.

`STACKYARD_KILL_AT=before:JoinMachines` (or `after:`) with `STACKYARD_KILL_ONCE=/path/of/marker` makes the
process kill itself with SIGKILL the first time that it comes there. Unset, this costs a dictionary look-up.
"""

from __future__ import annotations

import os
import pathlib
import signal


def point(moment: str, step: str) -> None:
    """Die here if the environment says so and it has not happened yet. `moment` is `before` or `after`."""
    if os.environ.get("STACKYARD_KILL_AT") != f"{moment}:{step}":
        return
    marker = pathlib.Path(os.environ["STACKYARD_KILL_ONCE"])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
