# SPDX-License-Identifier: Apache-2.0
"""Waiting for the platform to reach what was asked, as long as it can still be reached.

Used by every command that waits; an API that restarts meanwhile is borne for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from stackyard.cli.session import Session
from stackyard.model import errors

T = TypeVar("T")

SILENCE_SECONDS = 30.0
SHORTEST, LONGEST = 0.05, 1.0
CLOSE = 0.3
"""The longest pause for what is a matter of moments."""


def gone(session: Session, path: str) -> bool | None:
    """Return True once there is nothing at a path any more; for `until`."""
    try:
        session.get(path)
    except errors.NotFound:
        return True
    return None


def until(look: Callable[[], T | None], what: str, timeout: float, longest: float = LONGEST) -> T:
    """Return the first answer of `look` that is not None; raises Unavailable after `timeout` seconds.

    `what` names the thing waited for; looks are at most `longest` seconds apart. An unreachable platform is
    borne for SILENCE_SECONDS in a row.
    """
    began = heard = time.monotonic()
    pause = SHORTEST
    while True:
        try:
            found = look()
            heard = time.monotonic()
        except errors.Unavailable:
            if time.monotonic() - heard > SILENCE_SECONDS:
                raise
            found = None
        if found is not None:
            return found
        if time.monotonic() - began > timeout:
            raise errors.Unavailable(f"{what} is not done after {timeout:.0f} s; it goes on, look again later")
        time.sleep(pause)
        pause = min(pause * 1.15, longest)
