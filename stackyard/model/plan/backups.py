# SPDX-License-Identifier: Apache-2.0
"""The steps of a backup: made, verified, restored, removed; and which of the scheduled ones are no longer needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from stackyard.model.backups import Backup, BackupRule, Cause, Form, Step, Wish
from stackyard.model.phase import ENDING, FAILED, Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.ports import Replica

PATIENCE_SECONDS = 120.0
"""So long a replica that is ready is waited for."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A look at a backup's surroundings.

    `lack` says why nothing can be done with its service, for good; `rule` is what that says of backups now. `replica`
    is one that is ready, `living` counts those that there are of all services that use its volumes, `scales` has the
    numbers set for these (None: what the release says). `node` holds its volumes ("": none does), `reachable` tells
    whether the node that the record names is there, `content` whether anything is kept of it. `settled`
    tells that the environment has come to rest, `ill` why it has not come to what was asked.
    """

    rule: BackupRule | None = None
    lack: str = ""
    replica: Replica | None = None
    living: int = 0
    scales: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    node: str = ""
    reachable: bool = True
    settled: bool = True
    ill: str = ""
    content: bool = False
    now: float = 0


@dataclasses.dataclass(frozen=True)
class PlaceBackup(Action):
    """Record where containers and volumes for it will be, before any is made."""

    node: str

    def describe(self) -> str:
        """Return where."""
        return f"it is worked on at {self.node}"


@dataclasses.dataclass(frozen=True)
class TakeBackup(Action):
    """Carry the content from the service to where it is kept."""

    rule: BackupRule
    replica: Replica | None

    def describe(self) -> str:
        """Return from where."""
        return f"taking it from {self.replica.service}.{self.replica.slot}" if self.replica else "archiving the volumes"


@dataclasses.dataclass(frozen=True)
class TryBackup(Action):
    """Restore it into a throw-away container and check that."""

    rule: BackupRule

    def describe(self) -> str:
        """Return what is done."""
        return "restoring it into a throw-away container"


@dataclasses.dataclass(frozen=True)
class FeedBackup(Action):
    """Restore a dump into the running service."""

    rule: BackupRule
    replica: Replica

    def describe(self) -> str:
        """Return into which replica."""
        return f"restoring it into {self.replica.service}.{self.replica.slot}"


@dataclasses.dataclass(frozen=True)
class UnpackBackup(Action):
    """Unpack archived volumes beside those in use."""

    def describe(self) -> str:
        """Return what is done."""
        return "unpacking it beside the volumes in use"


@dataclasses.dataclass(frozen=True)
class HoldService(Action):
    """Scale the services that use its volumes to nothing."""

    scales: Mapping[str, int | None]

    def describe(self) -> str:
        """Return which."""
        return f"stopping {', '.join(self.scales)}"


@dataclasses.dataclass(frozen=True)
class SaveVolumes(Action):
    """Copy what the volumes hold, before it is replaced."""

    def describe(self) -> str:
        """Return what is done."""
        return "copying what its volumes hold now"


@dataclasses.dataclass(frozen=True)
class ReplaceVolumes(Action):
    """Put the backup's content in the volumes' place."""

    def describe(self) -> str:
        """Return what is done."""
        return "putting the backup's content in their place"


@dataclasses.dataclass(frozen=True)
class PutBack(Action):
    """Put back what the volumes held before."""

    def describe(self) -> str:
        """Return what is done."""
        return "putting back what its volumes held before"


@dataclasses.dataclass(frozen=True)
class ReleaseService(Action):
    """Give the service its replicas back."""


@dataclasses.dataclass(frozen=True)
class TidyBackup(Action):
    """Remove the containers and volumes that were made for it."""


@dataclasses.dataclass(frozen=True)
class DeleteContent(Action):
    """Remove what is kept."""


@dataclasses.dataclass(frozen=True)
class FailBackup(Action):
    """What was asked can't be done."""

    reason: str


def plan_backup(backup: Backup, seen: Seen) -> list[Action]:
    """Return what is left to do for the backup; empty where what was asked is done, or has failed and is tidied up."""
    if backup.phase in ENDING:
        return _plan_tidy(backup) or ([DeleteContent()] if seen.content else [])
    if backup.phase in FAILED or backup.phase is Phase.READY:
        return _plan_tidy(backup)
    if backup.step is Step.DONE:
        return _plan_done(backup, seen)
    if seen.rule is None:
        return [FailBackup(seen.lack or f"the release that serves has no service {backup.service}")]
    return _plan_work(backup, seen.rule, seen)


def _plan_work(backup: Backup, rule: BackupRule, seen: Seen) -> list[Action]:
    if backup.phase is Phase.CREATING:
        return _plan_take(backup, rule, seen)
    if backup.wish is Wish.VERIFY:
        return _plan_verify(backup, rule, seen)
    return _plan_feed(backup, rule, seen) if backup.form is Form.DUMP else _plan_replace(backup, seen)


_NEXT = {Step.UNPACKED: SaveVolumes(), Step.SAVED: ReplaceVolumes(), Step.BROKEN: PutBack()}
_AS_BEFORE = "what its volumes held before is in place again"


def over(backup: Backup) -> bool:
    """Tell whether nothing has to be done for the backup until something is asked of it."""
    at_rest = backup.phase is Phase.READY or backup.phase in FAILED - ENDING
    return at_rest and not backup.observed.node and not backup.observed.held


def _plan_take(backup: Backup, rule: BackupRule, seen: Seen) -> list[Action]:
    if backup.form is Form.DUMP:
        return _with_replica(backup, seen) or [TakeBackup(rule, seen.replica)]
    return _plan_place(backup, seen) or [TakeBackup(rule, None)]


def _plan_verify(backup: Backup, rule: BackupRule, seen: Seen) -> list[Action]:
    return _plan_place(backup, seen) or [TryBackup(rule)]


def _plan_feed(backup: Backup, rule: BackupRule, seen: Seen) -> list[Action]:
    if not rule.restore:
        return [FailBackup(f"service {backup.service} does not say how a dump is restored (backup.restore)")]
    return [FeedBackup(rule, seen.replica)] if seen.replica else _with_replica(backup, seen)


def _plan_replace(backup: Backup, seen: Seen) -> list[Action]:
    """Unpack beside, stop the service, save what it has, replace that."""
    if backup.step is Step.NONE or not seen.reachable:
        return _plan_place(backup, seen)
    if backup.step is Step.PLACED:
        return [UnpackBackup()]
    if not backup.observed.held:
        return [HoldService(seen.scales)]
    if any(number != 0 for number in seen.scales.values()):
        return [FailBackup(f"{backup.service} was scaled while its volumes were being replaced; restore it again")]
    if seen.living:
        return [Wait(f"waiting for {backup.service} to stop", 0.2)]
    return [_NEXT[backup.step]] if backup.step in _NEXT else [FailBackup(f"{backup.observed.trouble}; {_AS_BEFORE}")]


def _plan_done(backup: Backup, seen: Seen) -> list[Action]:
    """Tidy up behind a wish whose work is done, and let the service come back to rest."""
    left = _plan_tidy(backup)
    if left:
        return left
    if backup.wish is Wish.VERIFY and backup.observed.flaw:
        return [FailBackup(f"verification failed: {backup.observed.flaw}")]
    replaced = backup.wish is Wish.RESTORE and backup.form is Form.ARCHIVE
    if replaced and seen.ill:
        return [FailBackup(f"its content is restored, but {seen.ill}")]
    if replaced and not seen.settled:
        return [Wait(f"waiting for {backup.service} to be ready with what was restored", 0.3)]
    return []


def _plan_tidy(backup: Backup) -> list[Action]:
    if backup.observed.held:
        return [ReleaseService()]
    return [TidyBackup()] if backup.observed.node else []


def _plan_place(backup: Backup, seen: Seen) -> list[Action]:
    if backup.step is not Step.NONE:
        gone = f"node {backup.observed.node}, where it was worked on, is gone"
        return [] if seen.reachable else [FailBackup(gone)]
    if backup.observed.node:
        return [TidyBackup()]  # left by what was asked before
    return [PlaceBackup(seen.node)] if seen.node else _wait(backup, seen, "no node that is ready holds its volumes")


def _with_replica(backup: Backup, seen: Seen) -> list[Action]:
    return [] if seen.replica else _wait(backup, seen, f"no replica of {backup.service} is ready")


def _wait(backup: Backup, seen: Seen, reason: str) -> list[Action]:
    asked = (backup.updated_at or backup.created_at).timestamp()
    if seen.now - asked > PATIENCE_SECONDS:
        return [FailBackup(f"{reason} within {PATIENCE_SECONDS:.0f} s")]
    return [Wait(reason, 1.0)]


def surplus(backups: Sequence[Backup], keep: int) -> list[Backup]:
    """Return those scheduled backups of one service that are not needed any more, nor being used.

    The newest `keep` good ones stay, and of those that failed as many; so the last good one is never among them, nor
    what somebody asked for.
    """
    ours = sorted((each for each in backups if each.cause is Cause.SCHEDULE), key=lambda each: -each.number)
    good = [each for each in ours if each.good]
    bad = [each for each in ours if not each.good and each.phase in FAILED - ENDING]
    oldest = good[keep - 1].number if len(good) >= keep else 0
    forgotten = [each for at, each in enumerate(bad) if at >= keep or each.number < oldest]
    return [each for each in good[keep:] if each.phase in FAILED - ENDING or each.phase is Phase.READY] + forgotten
