# SPDX-License-Identifier: Apache-2.0
"""One loop for all nouns: brings one leased row to its intent, or says why not.

Called by the worker's threads. Knows no noun: each noun's file says how to observe, plan and act.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import time
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from stackyard.model import errors, phase
from stackyard.model.phase import Phase, Trigger
from stackyard.model.plan import Action, Wait
from stackyard.model.records import Lease, Record, utcnow
from stackyard.store import Transaction
from stackyard.store.leases import Also, Leases
from stackyard.store.records import Scheduled
from stackyard.worker.faults import Faults

LOG = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)
S = TypeVar("S")

HOLD_SECONDS = 5.0
"""A row that only waits is given back after this, so that others get their turn."""
BACK_OFF_MAX = 30.0


@dataclasses.dataclass(frozen=True)
class Change(Generic[R]):
    """What an action changed: the worker's half of the record, a line of history, more to write with it."""

    record: R
    note: tuple[str, str] | None = None
    also: Also | None = None


class Noun(Protocol[R, S]):
    """What the loop needs to know of a noun."""

    def rows(self, tx: Transaction) -> Scheduled[R]:
        """Return the noun's repository."""

    def observe(self, record: R) -> S:
        """Look at the world."""

    def plan(self, record: R, seen: S) -> Sequence[Action]:
        """Return what is left to do."""

    def act(self, action: Action, record: R, seen: S) -> Change[R] | None:
        """Do it; return what changed."""

    def reached(self, record: R, seen: S) -> Change[R]:
        """Return what to note now that intent is reached."""

    def failed(self, record: R, reason: str) -> Change[R]:
        """Return what giving up means for the record."""

    def idle(self, record: R) -> bool:
        """Tell whether there is nothing to look after (done, or failed until changed)."""

    def wait(self, record: R, action: Wait) -> None:
        """Wait for a change of the world, at most `action.seconds`."""

    def removed(self, record: R, tx: Transaction) -> None:
        """Write what the end of the object means for others."""


class Reconciler(Generic[R, S]):
    """The loop for one noun."""

    def __init__(self, noun: Noun[R, S], leases: Leases, look_seconds: float, faults: Faults) -> None:
        self.noun = noun
        self.leases = leases
        self.look_seconds = look_seconds
        self.faults = faults

    def work(self, lease: Lease, record: R) -> None:
        """Bring one row as far as it goes now, then give it back."""
        try:
            after, attempts = self._converge(lease, record)
        except errors.Fenced:
            LOG.info("%s %s was taken over", lease.noun, lease.object_id)
            return
        if after is None:
            return
        try:
            self.leases.release(lease, after, attempts)
        except errors.Fenced:
            LOG.info("%s %s was taken over", lease.noun, lease.object_id)

    def _converge(self, lease: Lease, record: R) -> tuple[float | None, int]:
        """Return when to look again (None: the row is gone) and the number of failed attempts in a row."""
        try:
            return self._loop(lease, record), 0
        except errors.Retry as retry:
            return self._later(lease, record, str(retry), retry.after)
        except errors.Unavailable as error:
            return self._later(lease, record, str(error), None)
        except errors.Fenced:
            raise
        except Exception as error:
            LOG.exception("%s %s: an unexpected error; trying again", lease.noun, lease.object_id)
            return self._later(lease, record, f"{type(error).__name__}: {error}", None)

    def _later(self, lease: Lease, record: R, reason: str, after: float | None) -> tuple[float, int]:
        """Note why it does not go on; return (seconds, attempts) with back-off and jitter."""
        record = self.leases.refresh(lease)
        if record.phase in phase.IN_PROGRESS and record.deadline and utcnow() > record.deadline:
            self._give_up(lease, record, reason)
            return self.look_seconds, 0
        self.leases.save(lease, dataclasses.replace(record, status_reason=reason))
        grown = min(0.2 * 2 ** min(lease.attempts, 20), BACK_OFF_MAX)
        return after if after is not None else grown * random.uniform(0.5, 1.0), lease.attempts + 1  # noqa: S311

    def _loop(self, lease: Lease, record: R) -> float | None:
        waiting_since = time.monotonic()
        while not self.noun.idle(record):
            seen = self.noun.observe(record)
            plan = self.noun.plan(record, seen)
            if not plan:
                return self._finish(lease, record, seen)
            action = plan[0]
            if self._overdue(record):
                return self._give_up(lease, record, f"timed out while {action.describe()}")
            if isinstance(action, Wait):
                if action.nudged or time.monotonic() - waiting_since > HOLD_SECONDS:
                    raise errors.Retry(action.describe(), after=action.seconds)
                self.noun.wait(record, action)
                record = self.leases.refresh(lease)
                continue
            waiting_since = time.monotonic()
            try:
                record = self._act(lease, record, action, seen)
            except errors.GiveUp as reason:
                return self._give_up(lease, record, str(reason))
        return self.look_seconds

    def _act(self, lease: Lease, record: R, action: Action, seen: S) -> R:
        step = type(action).__name__
        self.faults.point("before", step)
        LOG.info("%s %s: %s", lease.noun, record.name, action.describe())
        change = self.noun.act(action, record, seen)
        self.faults.point("after", step)
        if change is None:
            return self.leases.refresh(lease)  # type: ignore[no-any-return]
        kept = dataclasses.replace(change.record, status_reason=None)
        return self.leases.save(lease, kept, note=change.note, also=change.also)

    def _overdue(self, record: R) -> bool:
        if record.phase is Phase.DELETING or record.deadline is None:
            return False  # a deletion always ends, however long it takes
        return utcnow() > record.deadline

    def _finish(self, lease: Lease, record: R, seen: S) -> float | None:
        if record.phase in (Phase.DELETING, Phase.DELETE_FAILED):
            self.leases.remove(lease, record, lambda tx: self.noun.removed(record, tx))
            return None
        reached = self.noun.reached(record, seen)
        if record.phase in phase.IN_PROGRESS:
            done = dataclasses.replace(reached.record, status_reason=None)
            self.leases.save(lease, done, Trigger.REACHED, ("reached", f"{record.name} is ready"), reached.also)
        elif reached.record != record:
            self.leases.save(lease, reached.record)
        return self.look_seconds

    def _give_up(self, lease: Lease, record: R, reason: str) -> float:
        LOG.warning("%s %s failed: %s", lease.noun, record.name, reason)
        change = self.noun.failed(dataclasses.replace(record, status_reason=reason), reason)
        trigger = Trigger.GAVE_UP if record.phase in phase.IN_PROGRESS else None
        self.leases.save(lease, change.record, trigger, ("failed", reason), change.also)
        return 0.0


class Passive:
    """What most nouns do in these places: nothing special."""

    def idle(self, record: Any) -> bool:
        """Look after everything that has not failed."""
        return record.phase in (Phase.CREATE_FAILED, Phase.UPDATE_FAILED)

    def failed(self, record: Any, _reason: str) -> Change[Any]:
        """Only the phase changes."""
        return Change(record)

    def reached(self, record: Any, _seen: Any) -> Change[Any]:
        """There is nothing to note."""
        return Change(record)

    def wait(self, _record: Any, action: Wait) -> None:
        """Sleep."""
        time.sleep(action.seconds)

    def removed(self, record: Any, tx: Transaction) -> None:
        """Leave no trace but history."""
