# SPDX-License-Identifier: Apache-2.0
"""Who may begin a group's cluster, and when: the pure part. Called by the planner of deployments.

The rule: nobody is granted the right while a primary component may live. A start of a member (`incarnation`) waits
once, from its beginning to its one decision. So when all known members waited in two looks, in the same starts, there
was a moment between the looks when all waited at once; from then on a primary component comes only from a grant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from stackyard.model.groups import Formation, Grant, GroupState, MemberSeen, Recovery
from stackyard.model.plan import Action, Wait

LOOK_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class GroupLook:
    """A look at a group: the members that shall be (`wanted`), those that have a container (`present`), what they say.

    `volumes` tells whether members have any; `recovery` is a person's word on who begins.
    """

    name: str
    wanted: tuple[str, ...]
    state: GroupState
    present: frozenset[str] = frozenset()
    seen: Mapping[str, MemberSeen] = dataclasses.field(default_factory=dict)
    recovery: Recovery | None = None
    volumes: bool = False
    now: float = 0

    @property
    def known(self) -> list[str]:
        """Return all members that may hold the group's data or be part of its cluster."""
        return sorted({*self.wanted, *self.present, *self.state.members})

    @property
    def waiting(self) -> dict[str, str]:
        """Return the starts of the members that wait, by member."""
        return {name: self.seen[name].incarnation for name in self.known if name in self.seen and self.seen[name].waits}


@dataclasses.dataclass(frozen=True)
class FormAction(Action):
    """A step in the forming of a group's cluster."""

    group: str


@dataclasses.dataclass(frozen=True)
class Hear(FormAction):
    """Note that members wait, and in which starts."""

    formation: Formation
    heard: dict[str, str]

    def describe(self) -> str:
        """Return what that means."""
        if self.formation is Formation.LOST:
            return f"group {self.group} has lost all its members; {len(self.heard)} of them wait to begin again"
        return f"the {len(self.heard)} members of group {self.group} wait to begin"


@dataclasses.dataclass(frozen=True)
class SaveVolumes(FormAction):
    """Copy the volumes of the member that is to begin, before anything writes to them."""

    member: str
    epoch: int

    def describe(self) -> str:
        """Return which."""
        return f"copying the volumes of {self.member}, which holds the newest data of group {self.group}"


@dataclasses.dataclass(frozen=True)
class Claim(FormAction):
    """Decide which start of which member has the bootstrap right of a new epoch."""

    member: str
    grant: Grant
    why: str

    def describe(self) -> str:
        """Return which, and why."""
        return f"{self.member} may begin group {self.group} (epoch {self.grant.epoch}): {self.why}"


@dataclasses.dataclass(frozen=True)
class GrantBootstrap(FormAction):
    """Give the right to the member that has it."""

    member: str
    grant: Grant

    def describe(self) -> str:
        """Return which."""
        return f"granting {self.member} the bootstrap right of group {self.group} (epoch {self.grant.epoch})"


@dataclasses.dataclass(frozen=True)
class Form(FormAction):
    """Note that the group has a primary component, and whose data counts."""

    members: tuple[str, ...]

    def describe(self) -> str:
        """Return that."""
        return f"group {self.group} is formed; the data of {listed(self.members)} counts"


def plan_formation(look: GroupLook) -> list[Action]:
    """Return what is to be done that the group's cluster is formed; nothing while it is."""
    if any(each.primary for each in look.seen.values()):
        return _plan_formed(look)
    if look.state.formation is Formation.FORMING:
        pending = _plan_pending(look)
        if pending:
            return pending
    named = _plan_named(look)
    return named or _plan_all(look)


def _plan_formed(look: GroupLook) -> list[Action]:
    """Note whose data counts: who is synced, and who was and may still have it."""
    state = look.state
    synced = {name for name, each in look.seen.items() if each.synced}
    kept = {name for name in state.members if name not in look.seen or look.seen[name].may_have_data}
    here = {*look.wanted, *look.present}
    counted = tuple(sorted((synced | kept) & here)) if synced else state.members
    if synced and (state.formation is not Formation.FORMED or counted != state.members):
        return [Form(look.name, counted)]
    return []


def _plan_pending(look: GroupLook) -> list[Action]:
    """See a grant through as long as the start that it is for may still use it."""
    state = look.state
    grantee = look.seen.get(state.grantee)
    if grantee is None:
        return []
    if grantee.incarnation != state.incarnation:
        return []
    if grantee.waits:
        return [GrantBootstrap(look.name, state.grantee, Grant(state.epoch, state.incarnation))]
    return [Wait(f"{state.grantee} begins group {look.name}", LOOK_SECONDS)]


def _plan_named(look: GroupLook) -> list[Action]:
    """Begin with the member that a person named, whoever of the others is silent, but not beside a started one."""
    word, waiting = look.recovery, look.waiting
    if word is None or not word.counts(look.state, look.now) or word.member not in waiting:
        return []
    started = [name for name, each in look.seen.items() if not each.waits]
    if started:
        return [Wait(f"group {look.name} is not begun anew while {listed(started)} runs", LOOK_SECONDS)]
    if look.state.members and look.seen[word.member].position is None:
        return []
    return _plan_claim(look, waiting, word.member, "it was named by a person")


def _plan_all(look: GroupLook) -> list[Action]:
    """Begin with the member that has the newest data, once all have told theirs."""
    waiting, known = look.waiting, look.known
    silent = [name for name in known if name not in waiting]
    if silent:
        return [Wait(_silent(look, silent), LOOK_SECONDS)]
    chosen = newest(look)
    if isinstance(chosen, Wait):
        return [chosen]
    position = look.seen[chosen].position
    why = f"it has the newest data (change {position.seqno})" if position else "none of its members has data"
    return _plan_claim(look, waiting, chosen, why)


def newest(look: GroupLook) -> str | Wait:
    """Return the member with the newest data, or why that can't be told."""
    cure = "name the member to begin with: stackyard group recover"
    emptied = [name for name in look.state.members if look.seen[name].position is None]
    if emptied:
        return Wait(f"group {look.name} is lost, and the data of {listed(emptied)} with it; {cure}", LOOK_SECONDS)
    positions = {name: each.position for name, each in look.seen.items() if each.position and name in look.known}
    clusters = {position.uuid for position in positions.values()}
    if len(clusters) > 1:
        return Wait(
            f"members of group {look.name} hold data of {len(clusters)} different clusters; {cure}", LOOK_SECONDS
        )
    if not positions:
        return min(look.wanted or look.known, key=_number)
    return min(positions, key=lambda name: (-positions[name].seqno, _number(name)))


def _plan_claim(look: GroupLook, waiting: Mapping[str, str], member: str, why: str) -> list[Action]:
    """Claim the right for a member after a second look that found all in the same starts."""
    state, epoch = look.state, look.state.epoch + 1
    if dict(state.heard) != dict(waiting):
        return [Hear(look.name, Formation.LOST if state.members else Formation.NEVER, dict(waiting))]
    if look.volumes and state.members and len(look.known) > 1 and state.saved != epoch:
        return [SaveVolumes(look.name, member, epoch)]
    return [Claim(look.name, member, Grant(epoch, waiting[member]), why)]


def _silent(look: GroupLook, silent: Iterable[str]) -> str:
    """Return whom the forming of a group waits for."""
    words = []
    for name in silent:
        each = look.seen.get(name)
        doing = "does not answer" if each is None else "prepares" if each.state == "preparing" else "joins nobody yet"
        words.append(f"{name} {doing if name in look.present else 'is not there'}")
    return f"group {look.name} has no primary component; {', '.join(words)}"


def may_stop(member: str, wanted: int, synced: Iterable[str], max_unavailable: int) -> bool:
    """Tell whether a member may be taken away: it does not serve, or enough others do."""
    serving = set(synced)
    return member not in serving or len(serving - {member}) >= wanted - max_unavailable


def listed(names: Iterable[str]) -> str:
    """Return names as people list them."""
    return ", ".join(sorted(names, key=_number)) or "nobody"


def _number(member: str) -> tuple[int, str]:
    number = member.rpartition("-")[2]
    return (int(number) if number.isdigit() else 0, member)


def applied(state: GroupState, action: FormAction) -> GroupState:
    """Return what is known of the group once an action is done; it is to be saved under the row's lease."""
    match action:
        case Hear(formation=formation, heard=heard):
            return dataclasses.replace(state, formation=formation, heard=dict(heard), saved=0)
        case SaveVolumes(epoch=epoch):
            return dataclasses.replace(state, saved=epoch)
        case Claim(member=member, grant=grant):
            forming = dataclasses.replace(state, formation=Formation.FORMING, epoch=grant.epoch)
            return dataclasses.replace(forming, grantee=member, incarnation=grant.incarnation)
        case Form(members=members):
            return dataclasses.replace(state, formation=Formation.FORMED, members=members)
    return state
