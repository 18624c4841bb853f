# SPDX-License-Identifier: Apache-2.0
"""Clustered groups: services whose members form one cluster of their own, begun by one of them under a granted right.

Members decide nothing about who begins: only the platform grants that, once in each epoch. What is known of a
group is part of its deployment's row, so it changes only under the row's lease.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import re

RECOVERY_SECONDS = 600.0
"""So long a person's word on which member to begin with counts."""
_MEMBER = re.compile(r"(.+)-([1-9][0-9]*)")


@dataclasses.dataclass(frozen=True)
class Group:
    """That a service is a group (`x-stackyard: {group: {…}}`), or (`member_of` is its name) one member of it.

    At most `max_unavailable` members are taken away at a time by a change. `spread` refuses two members on one node.
    """

    max_unavailable: int = 1
    spread: bool = False
    member_of: str = ""


class Formation(enum.StrEnum):
    """Whether a group's cluster was ever begun, is being begun, has been, or has no living member left."""

    NEVER = "never"
    FORMING = "forming"
    FORMED = "formed"
    LOST = "lost"


@dataclasses.dataclass(frozen=True)
class GroupState:
    """What is known of a group for certain. `epoch` counts the grants; the newest is `grantee`'s, for one start of it.

    `incarnation` names that start. `heard` has the starts of members that waited when all were looked at before:
    who still waits in the same start has waited all the time between. `members` are those whose data counts: they
    were synced. `saved` is the epoch for which the chosen member's volumes were copied.
    """

    formation: Formation = Formation.NEVER
    epoch: int = 0
    grantee: str = ""
    incarnation: str = ""
    heard: dict[str, str] = dataclasses.field(default_factory=dict)
    members: tuple[str, ...] = ()
    saved: int = 0


@dataclasses.dataclass(frozen=True)
class Recovery:
    """A person's word that `member` holds the newest data; counts for the epoch in which it was given, for a while."""

    member: str
    epoch: int
    asked_at: datetime.datetime

    def counts(self, state: GroupState, now: float) -> bool:
        """Tell whether it does at `now` (seconds of the epoch)."""
        return self.epoch == state.epoch and now - self.asked_at.timestamp() < RECOVERY_SECONDS


@dataclasses.dataclass(frozen=True)
class Position:
    """How far a member's data goes: the cluster (`uuid`) that it is of, and the number of its last change there."""

    uuid: str
    seqno: int


@dataclasses.dataclass(frozen=True)
class MemberSeen:
    """What a member says: it is `preparing`, `waiting` for a decision in this start (`incarnation`), or `started`.

    One that prepares finds out its position: how far its data goes, None where it has none, or only a part.
    `primary` tells that it is part of the primary component, `synced` that it serves there.
    """

    incarnation: str
    state: str
    position: Position | None = None
    primary: bool = False
    synced: bool = False

    @property
    def waits(self) -> bool:
        """Tell whether it waits."""
        return self.state == "waiting"

    @property
    def may_have_data(self) -> bool:
        """Tell whether it has data, or has not found out yet."""
        return self.state == "preparing" or self.position is not None


@dataclasses.dataclass(frozen=True)
class Grant:
    """The right to begin the group's cluster, for one start of one member."""

    epoch: int
    incarnation: str


def member_names(group: str, count: int) -> tuple[str, ...]:
    """Return the names of a group's members, numbered from 1."""
    return tuple(f"{group}-{number}" for number in range(1, count + 1))


def is_member_name(name: str, group: str) -> bool:
    """Tell whether a name is that of a member of the group, present or not."""
    found = _MEMBER.fullmatch(name)
    return bool(found) and found[1] == group  # type: ignore[index]


def volume_of(volume: str, member: str) -> str:
    """Return the name of a member's own volume."""
    return f"{volume}.{member}"


def saved_volume(volume: str, epoch: int) -> str:
    """Return the name of the copy of a volume made before a grant; those of the last two losses are kept."""
    return f"{volume}.before-{epoch % 2}"
