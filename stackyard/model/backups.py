# SPDX-License-Identifier: Apache-2.0
"""Backups: what a service holds at one time, kept by the platform; how a service says that it is backed up.

A backup is made once; after that it may be verified, restored and removed. What is asked of it is its `wish`, which the
phase UPDATING belongs to.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid

from stackyard.model.records import Record

_NAMES = uuid.UUID("0c6b1d7e-53c7-5a52-9f6a-2f6f0d1b9a44")
KEEP = 7
"""So many scheduled backups of a service are kept unless it says otherwise."""
HISTORY = 200
"""So many backups an application may have."""


class Form(enum.StrEnum):
    """What is kept: the output of the service's own command, or its volumes as they are."""

    DUMP = "dump"
    ARCHIVE = "archive"


@dataclasses.dataclass(frozen=True)
class BackupRule:
    """How a service is backed up (`x-stackyard: {backup: {…}}`). Commands are argument vectors.

    `command` writes a dump to its output in a ready replica, `restore` reads one there (both empty: volumes are
    archived). `check` proves a restored copy, once `ready` ends with 0. `schedule` is the five fields of cron, in UTC;
    `keep` is how many of the scheduled ones stay.
    """

    command: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    schedule: str = ""
    keep: int = KEEP

    @property
    def form(self) -> Form:
        """Return what a backup by this rule is."""
        return Form.DUMP if self.command else Form.ARCHIVE


class Cause(enum.StrEnum):
    """Who asked for a backup."""

    REQUEST = "request"
    SCHEDULE = "schedule"


class Wish(enum.StrEnum):
    """What is asked of a backup that has been made."""

    KEEP = "keep"
    VERIFY = "verify"
    RESTORE = "restore"


class Step(enum.StrEnum):
    """How far a wish has come; a content that could not be put in place is BROKEN, until what was there is BACK."""

    NONE = ""
    PLACED = "placed"
    UNPACKED = "unpacked"
    SAVED = "saved"
    BROKEN = "broken"
    BACK = "back"
    DONE = "done"


@dataclasses.dataclass(frozen=True)
class BackupObserved:
    """What became of a backup. Times are seconds of the epoch (0: not yet), sizes bytes.

    `size` and `digest` (sha256) are of the content in clear, `stored` is what it takes where it is kept. `flaw` says
    why the last verification failed, `trouble` why the last restore broke. `step` is how far the wish of generation
    `step_of` has come. `node` is where containers and volumes for it may be; `held` has the services that are scaled to
    nothing for it, with the numbers that were set for them before (None: what the release says).
    """

    started_at: float = 0
    ended_at: float = 0
    size: int = 0
    stored: int = 0
    digest: str = ""
    verified_at: float = 0
    restored_at: float = 0
    flaw: str = ""
    trouble: str = ""
    step: Step = Step.NONE
    step_of: int = 0
    node: str = ""
    held: dict[str, int | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backup(Record):
    """A backup of a service in an environment, numbered per application from 1.

    `release` is the one that served when it was asked for. `moved` counts the bytes that the step under way has
    carried; it is progress, written without a lease.
    """

    app_id: str
    number: int
    environment: str
    service: str
    form: Form
    cause: Cause = Cause.REQUEST
    release: int
    wish: Wish = Wish.KEEP
    moved: int = 0
    observed: BackupObserved = dataclasses.field(default_factory=BackupObserved)

    @property
    def step(self) -> Step:
        """Return how far what is asked now has come."""
        return self.observed.step if self.observed.step_of == self.generation else Step.NONE

    @property
    def made(self) -> bool:
        """Tell whether it was made whole; its content is kept."""
        return bool(self.observed.digest)

    @property
    def good(self) -> bool:
        """Tell whether it was made and nobody has found it bad."""
        return self.made and not self.observed.flaw


def schedule_id(deployment_id: str, service: str, minute: int) -> str:
    """Return the id of the backup of a schedule's minute (minutes of the epoch), however many workers come to it."""
    return str(uuid.uuid5(_NAMES, f"{deployment_id}/{service}@{minute}"))


def job_id(backup_id: str, part: str) -> str:
    """Return the id of the container that does a part of a backup's work: the same each time, so it is found."""
    return str(uuid.uuid5(_NAMES, f"{backup_id}/{part}"))


def ending(number: int) -> str:
    """Return how the names of all volumes end that are made for a backup's work."""
    return f".backup-{number}"


def beside(volume: str, number: int) -> str:
    """Return the name of the volume in which a backup's content is unpacked beside the one in use."""
    return f"{volume}{ending(number)}"


def before_restore(volume: str) -> str:
    """Return the name of the copy of a volume made before its content was last replaced."""
    return f"{volume}.before-restore"
