# SPDX-License-Identifier: Apache-2.0
"""Restart loops: a run whose replicas keep stopping, told from one that stopped once. Pure.

Used by the planner and by what shows people how an application is.
"""

from __future__ import annotations

import collections

from stackyard.model.ports import Replica, RunSeen

STOPS = 3
CALM_SECONDS = 60.0
MAX_LINE = 200


def stops(run: RunSeen, since: float = 0) -> list[Replica]:
    """Return the replicas that stopped after `since` (seconds of the epoch), as far as they are remembered."""
    return [task for task in run.tasks if task.state == "exited" and (task.ended_at or 0) > since]


def repeated(stopped: list[Replica]) -> bool:
    """Tell whether some replica has stopped again after it was restarted."""
    slots = collections.Counter(task.slot for task in stopped)
    return bool(slots) and max(slots.values()) > 1


def last_line(said: str) -> str:
    """Return the last line of what a container wrote, as long as a reason may be."""
    lines = said.strip().splitlines()
    return lines[-1][:MAX_LINE] if lines else ""


def loop(run: RunSeen, now: float, last_line: str = "") -> str:
    """Return a restart loop in words, with its cause; nothing when there is none, or none any more.

    The loop is over when nothing has stopped for a minute, or for twice as long as the stops were apart.
    """
    stopped = stops(run)
    if len(stopped) < STOPS or not repeated(stopped):
        return ""
    times = sorted(task.ended_at or 0 for task in stopped)
    span = times[-1] - times[0]
    if now - times[-1] > max(CALM_SECONDS, 2 * span / (len(times) - 1)):
        return ""
    newest = max(stopped, key=lambda task: task.ended_at or 0)
    cause = f"{newest.reason}: {last_line}" if last_line else newest.reason
    return f"restarting: stopped {len(stopped)} times in {duration(span)}; last: {cause}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `12 s`, `2 min`, `3 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 6000 else f"{round(seconds / 3600)} h"
