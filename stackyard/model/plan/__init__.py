# SPDX-License-Identifier: Apache-2.0
"""Pure planners: what was asked and what is seen → the actions that bring the one to the other.

A plan is a sequence of actions of which the worker performs only the first, then looks again. An empty
plan means that intent is reached. An action's class name is its step's name in events, logs and fault tests.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Action:
    """Something to be done; doing it twice finds the first."""

    def describe(self) -> str:
        """Return what is being done, for people."""
        return type(self).__name__


@dataclasses.dataclass(frozen=True)
class Wait(Action):
    """Nothing to do but wait for the world; look again after at most `seconds`.

    `nudged` tells that what is waited for will make the row due: it need not be held until then.
    """

    reason: str
    seconds: float = 0.05
    nudged: bool = False

    def describe(self) -> str:
        """Return what is waited for."""
        return self.reason
