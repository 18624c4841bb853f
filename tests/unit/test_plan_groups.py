# SPDX-License-Identifier: Apache-2.0
"""Who begins a group's cluster: single decisions, and that no sequence of looks, kills and losses makes two."""

from __future__ import annotations

import dataclasses
import datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stackyard.model.groups import Formation, Grant, GroupState, MemberSeen, Position, Recovery
from stackyard.model.plan import Wait
from stackyard.model.plan import groups as steps

NAMES = ("db-1", "db-2", "db-3")
UUID, OTHER = "aaaa", "bbbb"
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def waits(start: str, seqno: int | None = None, uuid: str = UUID) -> MemberSeen:
    return MemberSeen(start, "waiting", None if seqno is None else Position(uuid, seqno))


def primary(start: str = "s") -> MemberSeen:
    return MemberSeen(start, "started", None, primary=True, synced=True)


def look(state: GroupState, *seen: MemberSeen | None, **values: object) -> steps.GroupLook:
    said = {name: each for name, each in zip(NAMES, seen, strict=False) if each}
    kept: dict[str, object] = {"present": frozenset(NAMES), "seen": said, "now": NOW.timestamp(), **values}
    return steps.GroupLook("db", NAMES, state, **kept)  # type: ignore[arg-type]


def lost(**values: object) -> GroupState:
    kept: dict[str, object] = {"formation": Formation.LOST, "epoch": 1, "members": NAMES, **values}
    return GroupState(**kept)  # type: ignore[arg-type]


def settle(seen: steps.GroupLook) -> list[steps.Action]:
    """Do what is planned while the members stay as they are; return the actions up to a grant or a wait."""
    done: list[steps.Action] = []
    for _ in range(8):
        plan = steps.plan_formation(seen)
        if not plan:
            return done
        done.append(plan[0])
        if isinstance(plan[0], Wait | steps.GrantBootstrap):
            return done
        assert isinstance(plan[0], steps.FormAction)
        seen = dataclasses.replace(seen, state=steps.applied(seen.state, plan[0]))
    raise AssertionError(f"no end: {done}")


def granted(seen: steps.GroupLook) -> str:
    last = settle(seen)[-1]
    assert isinstance(last, steps.GrantBootstrap), last.describe()
    return last.member


def reason(seen: steps.GroupLook) -> str:
    last = settle(seen)[-1]
    assert isinstance(last, Wait), last.describe()
    return last.reason


def test_a_new_group_is_begun_by_its_first_member_after_two_looks() -> None:
    kinds = [type(each).__name__ for each in settle(look(GroupState(), waits("a"), waits("b"), waits("c")))]
    assert kinds == ["Hear", "Claim", "GrantBootstrap"]
    assert granted(look(GroupState(), waits("a"), waits("b"), waits("c"))) == "db-1"


def test_one_look_is_never_enough_since_its_members_may_have_waited_one_after_the_other() -> None:
    heard = dict(zip(NAMES, "abc", strict=True))
    for late in (waits("c2", 9), waits("c3", 1)):
        plan = steps.plan_formation(look(lost(heard=heard), waits("a", 1), waits("b", 1), late))
        assert [type(each).__name__ for each in plan] == ["Hear"]


def test_nobody_begins_while_a_member_is_silent_or_prepares() -> None:
    assert "db-3 does not answer" in reason(look(GroupState(), waits("a"), waits("b"), None))
    assert "db-2 prepares" in reason(look(GroupState(), waits("a"), MemberSeen("", "preparing"), waits("c")))
    here = frozenset(NAMES[:2])
    assert "db-3 is not there" in reason(look(GroupState(), waits("a"), waits("b"), None, present=here))


def test_a_primary_component_is_noted_and_nothing_granted() -> None:
    state = GroupState(Formation.FORMING, 1, "db-1", "a", dict(zip(NAMES, "abc", strict=True)))
    assert settle(look(state, primary("a"), waits("b"), waits("c"))) == [steps.Form("db", ("db-1",))]
    formed = steps.applied(state, steps.Form("db", NAMES))
    assert settle(look(formed, primary("a"), primary("b"), waits("c", 7))) == []


def test_members_whose_data_is_gone_while_others_serve_do_not_count_any_more() -> None:
    formed = GroupState(Formation.FORMED, 1, "db-1", "a", members=NAMES)
    assert settle(look(formed, primary(), primary(), waits("c"))) == [steps.Form("db", ("db-1", "db-2"))]


def test_a_member_that_just_comes_back_still_counts() -> None:
    formed = GroupState(Formation.FORMED, 1, "db-1", "a", members=NAMES)
    assert settle(look(formed, primary(), MemberSeen("", "preparing"), waits("c", 3))) == []
    assert settle(look(formed, primary(), None, waits("c", 3))) == []


def test_after_a_total_loss_the_newest_data_is_saved_and_begun_with() -> None:
    seen = look(lost(), waits("a", 7), waits("b", 9), waits("c", 9), volumes=True)
    kinds = [type(each).__name__ for each in settle(seen)]
    assert kinds == ["Hear", "SaveVolumes", "Claim", "GrantBootstrap"]
    assert granted(seen) == "db-2"


def test_a_formed_group_without_a_primary_is_lost_only_when_all_wait() -> None:
    formed = GroupState(Formation.FORMED, 1, members=NAMES)
    orphan = MemberSeen("c", "started", Position(UUID, 9))
    assert "db-3 joins nobody yet" in reason(look(formed, waits("a", 9), waits("b", 9), orphan))
    assert granted(look(formed, waits("a", 9), waits("b", 9), waits("c", 8))) == "db-1"


def test_lost_or_divided_data_needs_a_person() -> None:
    assert "the data of db-2" in reason(look(lost(), waits("a", 7), waits("b"), waits("c", 7)))
    divided = look(lost(), waits("a", 7), waits("b", 9, OTHER), waits("c", 7))
    assert "2 different clusters" in reason(divided)


def test_a_person_names_who_begins_for_one_epoch_and_a_while() -> None:
    word = Recovery("db-1", 1, NOW)
    assert granted(look(lost(), waits("a", 7), None, waits("c", 9), recovery=word)) == "db-1"
    old = Recovery("db-1", 0, NOW)
    assert "does not answer" in reason(look(lost(), waits("a", 7), None, waits("c", 9), recovery=old))
    late = dataclasses.replace(word, asked_at=NOW - datetime.timedelta(hours=1))
    assert "does not answer" in reason(look(lost(), waits("a", 7), None, waits("c", 9), recovery=late))


def test_a_person_can_not_begin_a_second_cluster_or_one_without_data() -> None:
    word = Recovery("db-1", 1, NOW)
    orphan = MemberSeen("c", "started", Position(UUID, 9))
    assert "while db-3 runs" in reason(look(lost(), waits("a", 7), None, orphan, recovery=word))
    assert "does not answer" in reason(look(lost(), waits("a"), None, waits("c", 9), recovery=word))


def test_a_grant_is_repeated_for_the_same_start_and_ends_with_it() -> None:
    state = GroupState(Formation.FORMING, 4, "db-2", "b")
    again = steps.plan_formation(look(state, waits("a", 1), waits("b", 2), None))
    assert again == [steps.GrantBootstrap("db", "db-2", Grant(4, "b"))]
    assert granted(look(state, waits("a", 1), waits("b2", 2), waits("c", 1))) == "db-2"
    assert "does not answer" in reason(look(state, waits("a", 1), None, waits("c", 1)))


def test_a_member_is_taken_away_only_while_enough_others_serve() -> None:
    assert steps.may_stop("db-1", 3, NAMES, 1)
    assert not steps.may_stop("db-1", 3, NAMES[:2], 1)
    assert steps.may_stop("db-3", 3, NAMES[:2], 1)
    assert steps.may_stop("db-1", 1, ("db-1",), 1)
    assert not steps.may_stop("db-1", 5, ("db-1", "db-2", "db-3", "db-4"), 1)
    assert steps.may_stop("db-1", 5, ("db-1", "db-2", "db-3", "db-4"), 2)


@dataclasses.dataclass
class Member:
    """A member of the small world: `decision` None while it waits; `cluster` is the one that it is a part of."""

    start: int = 0
    up: bool = False
    decision: Grant | str | None = None
    cluster: int = 0
    seqno: int | None = None

    def says(self, name: str) -> MemberSeen | None:
        if not self.up:
            return None
        place = None if self.seqno is None else Position(UUID, self.seqno)
        state = "started" if self.decision else "waiting"
        return MemberSeen(f"{name}/{self.start}", state, place, bool(self.cluster), bool(self.cluster))


@dataclasses.dataclass
class Desk:
    """A worker: what it read of the row, and the members that it has looked at since."""

    version: int = -1
    state: GroupState = dataclasses.field(default_factory=GroupState)
    seen: dict[str, MemberSeen | None] = dataclasses.field(default_factory=dict)


class TwoWorkers(RuleBasedStateMachine):
    """Members come, go, join and begin at any moment; two workers look, save and grant, both slow at will."""

    def __init__(self) -> None:
        super().__init__()
        self.members = {name: Member() for name in NAMES}
        self.desks = (Desk(), Desk())
        self.state, self.version = GroupState(), 0
        self.letters: list[tuple[str, Grant]] = []
        self.begun: list[int] = []
        self.two_clusters = False

    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        member = self.members[name]
        if not member.up:
            self.members[name] = Member(member.start + 1, up=True, seqno=member.seqno)

    @rule(name=st.sampled_from(NAMES))
    def kill(self, name: str) -> None:
        self.members[name].up, self.members[name].cluster = False, 0

    @rule()
    def kill_all(self) -> None:
        for name in NAMES:
            self.kill(name)
            self.start(name)

    @rule(name=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def join(self, name: str, other: str) -> None:
        member, peer = self.members[name], self.members[other]
        if member.up and member.decision is None and peer.up and peer.cluster:
            member.decision, member.cluster, member.seqno = "join", peer.cluster, peer.seqno

    @rule(name=st.sampled_from(NAMES))
    def begin(self, name: str) -> None:
        member = self.members[name]
        if member.up and isinstance(member.decision, Grant) and not member.cluster:
            self.two_clusters |= any(each.cluster for each in self.members.values())
            self.begun.append(member.decision.epoch)
            member.cluster, member.seqno = member.decision.epoch, (member.seqno or 0) + 1

    @rule(desk=st.sampled_from((0, 1)))
    def read(self, desk: int) -> None:
        self.desks[desk].version, self.desks[desk].state, self.desks[desk].seen = self.version, self.state, {}

    @rule(desk=st.sampled_from((0, 1)), order=st.permutations(NAMES), count=st.integers(1, 3))
    def ask(self, desk: int, order: list[str], count: int) -> None:
        for name in order[:count]:
            self.desks[desk].seen.setdefault(name, self.members[name].says(name))

    @rule(desk=st.sampled_from((0, 1)))
    def act(self, desk: int) -> None:
        mine = self.desks[desk]
        if mine.version < 0 or len(mine.seen) < len(NAMES):
            return
        said = {name: each for name, each in mine.seen.items() if each}
        plan = steps.plan_formation(steps.GroupLook("db", NAMES, mine.state, frozenset(NAMES), said))
        action = plan[0] if plan else None
        if isinstance(action, steps.GrantBootstrap):
            self.letters.append((action.member, action.grant))
        elif isinstance(action, steps.FormAction) and mine.version == self.version:
            self.state, self.version = steps.applied(self.state, action), self.version + 1
        self.read(desk)

    @rule(desk=st.sampled_from((0, 1)))
    def whole_look(self, desk: int) -> None:
        self.read(desk)
        self.ask(desk, list(NAMES), 3)
        self.act(desk)

    @precondition(lambda self: self.letters)
    @rule(at=st.integers(0, 99))
    def deliver(self, at: int) -> None:
        name, grant = self.letters[at % len(self.letters)]
        member = self.members[name]
        if member.up and member.decision is None and grant.incarnation == f"{name}/{member.start}":
            member.decision = grant

    @invariant()
    def one_cluster(self) -> None:
        assert not self.two_clusters, "a cluster was begun while another lived"
        assert len(set(self.begun)) == len(self.begun), "an epoch's right was used twice"
        assert len({each.cluster for each in self.members.values() if each.cluster}) <= 1


TestTwoWorkers = TwoWorkers.TestCase
TestTwoWorkers.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
