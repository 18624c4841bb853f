# SPDX-License-Identifier: Apache-2.0
"""What comes after a release began to serve: restart loops are named, and a release that lied is taken back.

The deployments' own part of the loop, beside `deployments.py`. Asks engines only about runs that keep restarting.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from stackyard.model import errors
from stackyard.model.applications import Deployment
from stackyard.model.phase import FAILED
from stackyard.model.plan import deployments as steps
from stackyard.model.plan import restarts
from stackyard.model.ports import ClusterAccess, RunSeen, Workloads
from stackyard.store import Transaction
from stackyard.worker.reconciler import Change

SOONEST_SECONDS = 2.0
KEPT = 1024

Tail = Callable[[ClusterAccess, str, int], str]
"""Returns the last lines of a run, with nothing in them that must not be told."""


class LastLines:
    """The last line of runs that keep restarting; read once for each end."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def of(self, access: ClusterAccess, runs: Sequence[RunSeen], now: float, tail: Tail) -> Mapping[str, str]:
        """Return the last lines by run's name; only of those in a loop."""
        return {run.name: self._of(access, run, tail) for run in runs if restarts.loop(run, now)}

    def _of(self, access: ClusterAccess, run: RunSeen, tail: Tail) -> str:
        newest = restarts.stops(run)[0].id
        known = self._known.get(run.name, ("", ""))
        if known[0] != newest:
            known = (newest, last_line(access, run.name, tail))
            while len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)), None)
            self._known[run.name] = known
        return known[1]


def last_line(access: ClusterAccess, run: str, tail: Tail) -> str:
    """Return what a run's newest failed container wrote last, shortened; nothing when that can't be had."""
    try:
        return restarts.last_line(tail(access, run, 1))
    except errors.StackyardError:
        return ""


def noted(record: Deployment, wish: steps.Wish, seen: steps.Seen) -> Change[Deployment]:
    """Return the services that keep restarting, with an event for each that begins or ends to."""
    if not record.serving or not seen.nodes:
        return Change(record)
    words = steps.looping(wish, seen)
    if set(words) == set(record.looping):
        return Change(record)
    changed = dataclasses.replace(record, looping=tuple(sorted(words)))

    def tell(tx: Transaction) -> None:
        for service in sorted(words.keys() - set(record.looping)):
            tx.deployments.note(record, "restarting", f"{service} is {words[service]}")
        for service in sorted(set(record.looping) - words.keys()):
            tx.deployments.note(record, "steady", f"{service} restarts no longer")

    return Change(changed, also=tell)


def pause(record: Deployment, wish: steps.Wish, now: float) -> float:
    """Return after how many seconds a finished deployment is to be looked at again, if its release needs that."""
    if steps.proving(record, wish, now):
        return SOONEST_SECONDS
    checks = [run.service.healthcheck for run in wish.runs]
    intervals = [check.interval for check in checks if check and (check.http or check.tcp)]
    return max(SOONEST_SECONDS, min(intervals, default=math.inf))


def serve(record: Deployment, release: int, now: float) -> Deployment:
    """Return the record of a release that begins to serve; the one before is kept in mind to go back to."""
    former = 0 if record.phase in FAILED else max(0, record.serving)
    return dataclasses.replace(record, serving=release, former=former, served_at=now)


def take_back(record: Deployment, action: steps.TakeBack, tail: str) -> Change[Deployment]:
    """Return the change that asks for the release before, and says why."""
    why = f"{action.reason}\n{tail}".rstrip()
    reason = f"release {record.serving} was ready, then failed; release {action.release} serves again: {why}"

    def ask(tx: Transaction) -> None:
        tx.deployments.take_back(record, action.release, reason)

    return Change(dataclasses.replace(record, former=0), ("failed", reason), ask)


def replace(
    workloads: Workloads, access: ClusterAccess, record: Deployment, action: steps.ReplaceReplica
) -> Change[Deployment]:
    """Replace a replica."""
    workloads.replace(access, action.replica)
    return Change(record, ("replaced", action.describe()))
