# SPDX-License-Identifier: Apache-2.0
"""Language stacks made by a command of the platform's. Given to `TenantBuilder` by the composition root.

The builder knows only that a stack is wanted; which command makes it, and where, is not its business.
"""

from __future__ import annotations

import collections
import dataclasses
import subprocess

from stackyard.model import errors
from stackyard.model.ports import Log

_TAIL = 15


@dataclasses.dataclass(frozen=True)
class StackCommand:
    """Runs `command NAME`; its output goes to the build's log."""

    command: tuple[str, ...]

    def __call__(self, name: str, log: Log) -> None:
        """Have a stack made; raises GiveUp with the output's end."""
        log(f"The platform's image {name} is being made: the first application that needs it waits for that once\n")
        tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        with subprocess.Popen(
            [*self.command, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                log(line)
                tail.append(line)
        if process.returncode:
            raise errors.GiveUp(
                f"the platform's image {name} could not be made; 'stackyard images build {name}' on the platform's host"
                f" shows why. It said:\n{''.join(tail).strip()}"
            )
