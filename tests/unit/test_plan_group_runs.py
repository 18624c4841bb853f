# SPDX-License-Identifier: Apache-2.0
"""Members as runs: what a group becomes, in what order members are started and replaced, and where they go."""

from __future__ import annotations

import dataclasses

from stackyard.model.applications import Deployment, HealthCheck, Mount, Service, Stage
from stackyard.model.groups import Formation, Group, GroupState, MemberSeen
from stackyard.model.jobs import Job
from stackyard.model.plan import Action, Wait, groups
from stackyard.model.plan import deployments as steps
from stackyard.model.plan.members import READY, expanded, members_of, node_for
from stackyard.model.plan.stages import ReleaseStage, StartStage
from stackyard.model.ports import Replica, Run, RunSeen

NAMES = ("db-1", "db-2", "db-3")
NODES = ("node-1", "node-2", "node-3")
DB = Service("db", image="i", replicas=3, port=80, mounts=(Mount("data", "/data"),), group=Group())
SYNCED = MemberSeen("s", "started", None, primary=True, synced=True)


def runs(release: int, service: Service = DB) -> tuple[Run, ...]:
    return tuple(
        Run(f"{each.name}-r{release}", "app", release, each, 1, {}, f"d{release}") for each in members_of(service, 3)
    )


def seen(run: Run, state: str = "running") -> RunSeen:
    task = Replica(run.name, run.name, run.service.name, 1, "node-1", state)
    return RunSeen(run.name, "app", run.service.name, run.release, run.digest, 1, (task,), "db")


def deployment(**values: object) -> Deployment:
    pins = dict(zip(NAMES, NODES, strict=True))
    state = GroupState(Formation.FORMED, 1, "db-1", "a", members=NAMES)
    kept: dict[str, object] = {"pins": pins, "groups": {"db": state}, "release": 1, "serving": 1, **values}
    return Deployment(project_id="p", name="shop", app_id="app", cluster_id="c", **kept)  # type: ignore[arg-type]


def plan(of: Deployment, wanted: tuple[Run, ...], *there: RunSeen, **said: MemberSeen) -> list[Action]:
    wish = steps.Wish(wanted, groups={"db": Group()})
    members = {"db": {name.replace("_", "-"): each for name, each in said.items()}}
    look = steps.Seen(there, nodes=NODES, kept=frozenset(NODES), now=1e9, members=members)
    return steps.plan_deployment(of, wish, look)


def test_a_group_becomes_members_with_their_own_names_and_volumes() -> None:
    first = members_of(DB, 3)[0]
    assert [each.name for each in members_of(DB, 5)] == ["db-1", "db-2", "db-3", "db-4", "db-5"]
    assert (first.mounts[0].volume, first.port, first.healthcheck) == ("data.db-1", None, READY)
    assert first.environment == {"STACKYARD_GROUP": "db", "STACKYARD_MEMBER": "db-1"}
    assert first.group == Group(member_of="db")
    own = dataclasses.replace(DB, healthcheck=HealthCheck(("CMD", "own")))
    assert members_of(own, 1)[0].healthcheck == own.healthcheck


def test_the_size_of_a_group_changes_nothing_in_its_members() -> None:
    assert members_of(DB, 3) == members_of(dataclasses.replace(DB, replicas=5), 5)[:3]
    assert [each.name for each in expanded([DB, Service("web")], {"db": 1})] == ["db-1", "web"]


def test_members_go_to_different_nodes_where_there_are_enough() -> None:
    wanted, pins = runs(1), dict[str, str]()
    for run in wanted:
        pins[run.service.name] = node_for(run, wanted, pins, NODES)
    assert sorted(pins.values()) == sorted(NODES)
    few = {"db-1": "node-1"}
    assert node_for(wanted[1], wanted, few, NODES[:1]) == "node-1"


def test_a_group_that_is_to_be_spread_is_refused_on_too_few_nodes() -> None:
    wish = steps.Wish(runs(1), groups={"db": Group(spread=True)})
    look = steps.Seen((), nodes=NODES[:2], kept=frozenset(NODES[:2]), now=1e9)
    planned = steps.plan_deployment(deployment(pins={}), wish, look)[0]
    assert isinstance(planned, steps.Fail)
    assert "a node for each of its 3 members" in planned.reason


def test_all_members_are_started_before_one_is_waited_for() -> None:
    wanted, new = runs(1), deployment(groups={}, serving=0)
    assert plan(new, wanted) == [steps.StartRun(wanted[0])]
    assert plan(new, wanted, seen(wanted[0], "starting")) == [steps.StartRun(wanted[1])]
    all_three = [seen(run, "starting") for run in wanted]
    said = {name: MemberSeen(name, "waiting") for name in ("db_1", "db_2", "db_3")}
    assert isinstance(plan(new, wanted, *all_three, **said)[0], groups.Hear)


def test_nothing_is_left_to_do_while_all_serve_and_nobody_is_asked() -> None:
    wanted = runs(1)
    assert plan(deployment(), wanted, *map(seen, wanted)) == []


def test_a_change_replaces_one_member_at_a_time_and_only_while_the_others_serve() -> None:
    old, new, of = runs(1), runs(2), deployment(release=2)
    assert plan(of, new, *map(seen, old)) == [steps.StopRun(seen(old[0]))]
    assert plan(of, new, *map(seen, old[1:]), db_2=SYNCED) == [steps.StartRun(new[0])]
    joining = plan(of, new, seen(new[0], "starting"), *map(seen, old[1:]), db_2=SYNCED, db_3=SYNCED)
    assert isinstance(joining[0], Wait | groups.Form)
    again = plan(of, new, seen(new[0]), *map(seen, old[1:]))
    assert again == [steps.StopRun(seen(old[1]))]


def test_a_member_that_does_not_serve_is_replaced_before_one_that_does() -> None:
    old, new, of = runs(1), runs(2), deployment(release=2)
    there = (seen(old[0]), seen(old[1]), seen(old[2], "starting"))
    assert plan(of, new, *there, db_1=SYNCED, db_2=SYNCED) == [steps.StopRun(there[2])]


def test_a_new_release_whose_member_keeps_stopping_fails_with_the_others_left_alone() -> None:
    old, new, of = runs(1), runs(2), deployment(release=2)
    state = GroupState(Formation.FORMED, 1, members=("db-2", "db-3"))
    ended = [Replica(f"t{n}", new[0].name, "db-1", 1, "node-1", "exited", reason="exit 1") for n in range(3)]
    broken = dataclasses.replace(seen(new[0]), tasks=tuple(ended))
    of = dataclasses.replace(of, groups={"db": state})
    planned = plan(of, new, broken, *map(seen, old[1:]), db_2=SYNCED, db_3=SYNCED)[0]
    assert isinstance(planned, steps.Fail)
    assert "db-1 keeps stopping" in planned.reason


def test_what_depends_on_a_group_waits_for_its_first_member_and_not_for_all() -> None:
    web = Run("web-r1", "app", 1, Service("web", image="i", depends_on=("db",)), 1, {}, "w1")
    wanted, of = (*runs(1), web), deployment(serving=0)
    forming = [seen(run, "starting") for run in wanted[:3]]
    said = {"db_1": SYNCED, "db_2": MemberSeen("b", "preparing"), "db_3": MemberSeen("c", "preparing")}
    assert isinstance(plan(of, wanted, *forming, **said)[0], Wait)
    serving = [seen(wanted[0]), *forming[1:]]
    assert plan(of, wanted, *serving, **said) == [steps.StartRun(web)]
    web_seen = dataclasses.replace(seen(web), group="")
    left = plan(of, wanted, *serving, web_seen, **said)
    assert isinstance(left[0], Wait), "the release serves only once all members do"
    assert "db-2" in left[0].reason


def test_a_stage_that_needs_a_group_begins_with_its_first_member_while_the_others_join() -> None:
    wanted, of = runs(1), deployment(serving=0, groups={})
    stage = ReleaseStage("schema", frozenset({"db"}), Stage.INIT)
    joining = [seen(run, "starting") for run in wanted]

    def staged(*there: RunSeen, **jobs: Job) -> list[Action]:
        wish = steps.Wish(wanted, groups={"db": Group()}, stages=(stage,))
        said = {"db": {"db-1": SYNCED, "db-2": MemberSeen("b", "started"), "db-3": MemberSeen("c", "started")}}
        look = steps.Seen(there, nodes=NODES, kept=frozenset(NODES), now=1e9, members=said, stages=jobs)
        return steps.plan_deployment(of, wish, look)

    formed = staged(*joining)
    assert isinstance(formed[0], groups.Form), "what has to be noted of the group comes first"
    of = dataclasses.replace(of, groups={"db": GroupState(Formation.FORMED, 1, "db-1", "a", members=("db-1",))})
    assert isinstance(staged(*joining)[0], Wait)
    assert staged(seen(wanted[0]), *joining[1:]) == [StartStage("schema", Stage.INIT)]
