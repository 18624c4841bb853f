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
from stackyard.model.phase import ENDING, Phase, Trigger
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
PATIENT_SECONDS = 1.0
TOLD = phase.FAILED - ENDING
"""Phases in which the reason of the failure stays told, until somebody asks for something else."""


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

    def note(self, record: R, seen: S, plan: Sequence[Action]) -> Change[R]:
        """Return what this look tells of the object, whatever is done next; saved when it differs."""

    def act(self, action: Action, record: R, seen: S) -> Change[R] | None:
        """Do it; return what changed."""

    def reached(self, record: R, seen: S) -> Change[R]:
        """Return what to note now that intent is reached."""

    def failed(self, record: R, reason: str) -> Change[R]:
        """Return what giving up means for the record."""

    def idle(self, record: R) -> bool:
        """Tell whether there is nothing to look after (done, or failed until changed)."""

    def glance(self, record: R) -> Change[R]:
        """Return what is to be noted of an idle object, which is only looked at."""

    def wait(self, record: R, action: Wait) -> None:
        """Wait for a change of the world, at most `action.seconds`."""

    def pause(self, record: R, usual: float) -> float:
        """Return after how many seconds a finished object is to be looked at again; `usual` for most."""

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
        except errors.GiveUp as reason:
            return self._give_up(lease, str(reason))
        except errors.Retry as retry:
            return self._later(lease, str(retry), retry.after)
        except errors.Unavailable as error:
            return self._later(lease, str(error), None)
        except errors.Fenced:
            raise
        except Exception as error:
            LOG.exception("%s %s: an unexpected error; trying again", lease.noun, lease.object_id)
            return self._later(lease, f"{type(error).__name__}: {error}", None)

    def _loop(self, lease: Lease, record: R) -> float | None:
        waiting_since = time.monotonic()
        while not self.noun.idle(record):
            seen = self.noun.observe(record)
            plan = self.noun.plan(record, seen)
            planned_for, record = record, self._note(lease, record, self.noun.note(record, seen, plan))
            if record.generation != planned_for.generation:
                continue
            if not plan:
                return self._finish(lease, record, seen)
            action = plan[0]
            record, failed = self._judge(lease, record, f"timed out while {action.describe()}")
            if failed:
                continue
            if isinstance(action, Wait):
                self._wait(lease, record, action, waiting_since)
                record = self.leases.refresh(lease)
                continue
            record = self._act(lease, record, action, seen)
            waiting_since = time.monotonic()
        self._note(lease, record, self.noun.glance(record))
        return self.look_seconds

    def _note(self, lease: Lease, record: R, change: Change[R]) -> R:
        if change.record == record:
            return record
        return self.leases.save(lease, change.record, also=change.also)

    def _wait(self, lease: Lease, record: R, action: Wait, since: float) -> None:
        """Wait a little; raises Retry to give the row back when that has gone on, or goes on, for long."""
        if action.nudged or time.monotonic() - since > HOLD_SECONDS:
            # What has kept us waiting for long need not be asked after so often.
            patient = 0.0 if action.nudged else min(0.05 * 2 ** min(lease.attempts, 10), PATIENT_SECONDS)
            raise errors.Retry(action.describe(), after=max(action.seconds, patient))
        self.noun.wait(record, action)

    def _judge(self, lease: Lease, record: R, reason: str) -> tuple[R, bool]:
        """Fail an operation in progress whose deadline has passed; return whether it did.

        The one place that judges deadlines. A deletion that failed so is only told to be late: it goes on.
        """
        if record.phase not in phase.IN_PROGRESS or record.deadline is None or utcnow() <= record.deadline:
            return record, False
        return self._fail(lease, record, reason), True

    def _fail(self, lease: Lease, record: R, reason: str) -> R:
        LOG.warning("%s %s failed: %s", lease.noun, record.name, reason)
        change = self.noun.failed(dataclasses.replace(record, status_reason=reason), reason)
        return self.leases.save(lease, change.record, Trigger.GAVE_UP, ("failed", reason), change.also)

    def _give_up(self, lease: Lease, reason: str) -> tuple[float, int]:
        """Fail what is in progress, and look again at once; what is not is tried again later."""
        record = self.leases.refresh(lease)
        if record.phase not in phase.IN_PROGRESS:
            return self._later(lease, reason, None)
        self._fail(lease, record, reason)
        return 0.0, 0

    def _later(self, lease: Lease, reason: str, after: float | None) -> tuple[float, int]:
        """Note why it does not go on; return (seconds, attempts) with back-off and jitter."""
        record, failed = self._judge(lease, self.leases.refresh(lease), f"timed out: {reason}")
        if failed:
            return 0.0, 0
        if not self.noun.idle(record) and record.status_reason != reason and record.phase not in TOLD:
            self.leases.save(lease, dataclasses.replace(record, status_reason=reason))
        grown = min(0.2 * 2 ** min(lease.attempts, 20), BACK_OFF_MAX)
        return after if after is not None else grown * random.uniform(0.5, 1.0), lease.attempts + 1  # noqa: S311

    def _act(self, lease: Lease, record: R, action: Action, seen: S) -> R:
        step = type(action).__name__
        self.faults.point("before", step)
        LOG.info("%s %s: %s", lease.noun, record.name, action.describe())
        change = self.noun.act(action, record, seen)
        self.faults.point("after", step)
        if change is None:
            return self.leases.refresh(lease)  # type: ignore[no-any-return]
        # Progress is brought up to date by the next look; why a wish failed stays told while what was is restored.
        told = action.describe() == record.status_reason or record.phase in TOLD
        kept = change.record if told else dataclasses.replace(change.record, status_reason=None)
        return self.leases.save(lease, kept, note=change.note, also=change.also)

    def _finish(self, lease: Lease, record: R, seen: S) -> float | None:
        if record.phase in ENDING:
            self.leases.remove(lease, record, lambda tx: self.noun.removed(record, tx))
            return None
        reached = self.noun.reached(record, seen)
        # A wish that failed stays told; what disturbed a finished object for a while does not.
        reason = record.status_reason if record.phase in phase.FAILED else None
        done = dataclasses.replace(reached.record, status_reason=reason)
        if record.phase in phase.IN_PROGRESS:
            self.leases.save(lease, done, Trigger.REACHED, ("reached", f"{record.name} is ready"), reached.also)
        elif done != record:
            self.leases.save(lease, done)
        return self.noun.pause(done, self.look_seconds)


class Passive:
    """What most nouns do in these places: nothing special."""

    def idle(self, record: Any) -> bool:
        """Look after everything that has not failed."""
        return record.phase in (Phase.CREATE_FAILED, Phase.UPDATE_FAILED)

    def note(self, record: Any, _seen: Any, _plan: Sequence[Action]) -> Change[Any]:
        """There is nothing to note."""
        return Change(record)

    def glance(self, record: Any) -> Change[Any]:
        """Don't even look."""
        return Change(record)

    def failed(self, record: Any, _reason: str) -> Change[Any]:
        """Only the phase changes."""
        return Change(record)

    def reached(self, record: Any, _seen: Any) -> Change[Any]:
        """There is nothing to note."""
        return Change(record)

    def wait(self, _record: Any, action: Wait) -> None:
        """Sleep."""
        time.sleep(action.seconds)

    def pause(self, _record: Any, usual: float) -> float:
        """Look now and then."""
        return usual

    def removed(self, record: Any, tx: Transaction) -> None:
        """Leave no trace but history."""
