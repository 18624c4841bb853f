# SPDX-License-Identifier: Apache-2.0
"""What every stored object has in common: identity, intent and reality, history.

Scheduling columns (due, lease, epoch) are the store's own and appear only in `Lease`.
"""

from __future__ import annotations

import dataclasses
import datetime
import uuid

from stackyard.model.phase import Phase


def new_id() -> str:
    """Return a fresh UUID in its canonical form."""
    return str(uuid.uuid4())


def utcnow() -> datetime.datetime:
    """Return the current time, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """An object that the worker brings from intent to reality.

    `generation` grows with each change of intent; `observed_generation` is the newest one reached.
    `deadline` is when the operation in progress is declared failed.
    """

    id: str = dataclasses.field(default_factory=new_id)
    project_id: str
    name: str
    phase: Phase = Phase.CREATING
    generation: int = 1
    observed_generation: int = 0
    status_reason: str | None = None
    deadline: datetime.datetime | None = None
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Lease:
    """The right to work on one row until `until`; `epoch` fences saves of earlier holders.

    `due` is what the row's due time was when it was taken: another value later means a new wish.
    """

    noun: str
    object_id: str
    epoch: int
    until: float
    due: float = 0
    attempts: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One line of history, written in the transaction of the change that it tells of."""

    noun: str
    object_id: str
    project_id: str
    kind: str
    message: str
    at: datetime.datetime = dataclasses.field(default_factory=utcnow)
    id: int = 0


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who asks: taken from a validated Keystone token, never from the request's own words."""

    user_id: str
    project_id: str
    roles: frozenset[str] = frozenset()
    project_name: str = ""
    user_name: str = ""
    request_id: str = ""

    @property
    def is_admin(self) -> bool:
        """Whether the token carries the cloud's admin role."""
        return "admin" in self.roles
