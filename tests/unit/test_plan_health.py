# SPDX-License-Identifier: Apache-2.0
"""Health in the deployment planner: rolling without a gap, releases that lied, the ill, restart loops in words."""

from __future__ import annotations

import dataclasses
import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan_deployments import HOST, World, deployment, names, run, seen_run

from stackyard.model.applications import HealthCheck
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait, restarts
from stackyard.model.plan import deployments as steps
from stackyard.model.ports import Replica, RunSeen

NOW = 1000.0


def web(release: int, replicas: int) -> steps.Wish:
    return steps.Wish((run("web", release, replicas=replicas, port=80),), {HOST: "web"})


def ended(wanted: RunSeen, slot: int, at: float, reason: str = "exited with code 1") -> Replica:
    return Replica(f"{wanted.name}-{at}", wanted.name, wanted.service, slot, "n", "exited", reason=reason, ended_at=at)


def stopping(*moments: tuple[int, float], release: int = 2, living: str = "running") -> RunSeen:
    there = seen_run(run("web", release, port=80), living)
    return dataclasses.replace(there, tasks=(*there.tasks, *(ended(there, slot, at) for slot, at in moments)))


def serving(**values: object) -> object:
    return deployment(release=2, serving=2, former=1, served_at=NOW - 10, phase=Phase.READY, **values)


def plan(there: RunSeen, now: float = NOW, **values: object) -> list[Action]:
    routes = {HOST: {task.id: task.endpoint or "" for task in there.tasks if task.state == "running"}}
    look = steps.Seen((there,), routes, nodes=("n",), kept=frozenset({"n"}), now=now)
    return steps.plan_deployment(serving(**values), web(2, 1), look)  # type: ignore[arg-type]


# --- rolling -----------------------------------------------------------------------------------


class SlowWorld(World):
    """Replicas become ready one by one, in any order."""

    least = 10**9

    def perform(self, action: Action) -> None:
        if isinstance(action, steps.StartRun):
            self.done.append(action)
            before = self.runs.get(action.run.name)
            kept = before.tasks[: action.run.replicas] if before else ()
            fresh = seen_run(action.run, "starting")
            self.runs[action.run.name] = dataclasses.replace(fresh, tasks=(*kept, *fresh.tasks[len(kept) :]))
        elif isinstance(action, Wait):
            self.done.append(action)
        else:
            super().perform(action)

    def ripen(self, chance: random.Random) -> None:
        young = [(name, task) for name, each in self.runs.items() for task in each.tasks if task.state == "starting"]
        for name, task in young:
            if chance.random() < 0.5:
                tasks = (
                    dataclasses.replace(each, state="running") if each == task else each for each in self.tasks(name)
                )
                self.runs[name] = dataclasses.replace(self.runs[name], tasks=tuple(tasks))

    def tasks(self, name: str) -> tuple[Replica, ...]:
        return self.runs[name].tasks

    def ready(self) -> int:
        alive = {task.id for found in self.runs.values() for task in found.tasks if task.state == "running"}
        return min(len(servers.keys() & alive) for servers in self.routes.values())

    def roll(self, wish: steps.Wish, chance: random.Random) -> None:
        for _ in range(400):
            todo = steps.plan_deployment(self.deployment, wish, self.look())
            if not todo:
                return
            self.perform(todo[0])
            self.ripen(chance)
            if self.routes:
                self.least = min(self.least, self.ready())
        raise AssertionError("no end")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=2, max_size=5), st.randoms(use_true_random=False)
)
def test_there_are_never_fewer_ready_replicas_than_before_or_than_wanted(
    wishes: list[tuple[int, int]], chance: random.Random
) -> None:
    world = SlowWorld(deployment(release=wishes[0][0]))
    world.roll(web(*wishes[0]), chance)
    for (_, before), (release, wanted) in itertools.pairwise(wishes):
        world.deployment = dataclasses.replace(world.deployment, release=release)
        world.least = 10**9
        world.roll(web(release, wanted), chance)
        assert world.least >= min(before, wanted)
        assert world.ready() == wanted


def test_one_that_does_not_get_ready_keeps_no_other_out_of_the_route() -> None:
    there = seen_run(run("web", 2, replicas=3, port=80))
    tasks = (dataclasses.replace(there.tasks[0], state="starting"), *there.tasks[1:])
    look = steps.Seen((dataclasses.replace(there, tasks=tasks),), {HOST: {}}, nodes=("n",), kept=frozenset({"n"}))
    first = steps.plan_deployment(serving(), web(2, 3), look)[0]  # type: ignore[arg-type]
    assert isinstance(first, steps.SwitchRoute)
    assert first.servers.keys() == {tasks[1].id, tasks[2].id}


# --- a release that lied -----------------------------------------------------------------------


def test_a_release_that_keeps_stopping_after_it_was_ready_is_taken_back() -> None:
    (action,) = plan(stopping((0, NOW - 5), (0, NOW - 1)))
    assert action == steps.TakeBack(1, "web-r2", "web keeps stopping: exited with code 1")


def test_one_that_becomes_unhealthy_is_taken_back_too() -> None:
    (action,) = plan(stopping(living="unhealthy"))
    assert isinstance(action, steps.TakeBack)


def test_one_stop_or_one_stop_each_is_no_proof() -> None:
    assert plan(stopping((0, NOW - 1))) == []
    assert plan(stopping((0, NOW - 1), (1, NOW - 1))) == []


def test_what_happened_before_it_served_or_long_after_takes_nothing_back() -> None:
    assert not any(isinstance(each, steps.TakeBack) for each in plan(stopping((0, NOW - 20), (0, NOW - 15))))
    late = plan(stopping((0, NOW + 35), (0, NOW + 38)), now=NOW + 40)
    assert not any(isinstance(each, steps.TakeBack) for each in late)


def test_what_runs_on_from_the_release_before_and_a_first_release_are_not_judged() -> None:
    there = dataclasses.replace(stopping((0, NOW - 5), (0, NOW - 1)), release=1)
    assert plan(there) == []
    look = steps.Seen((stopping((0, NOW - 5), (0, NOW - 1)),), nodes=("n",), kept=frozenset({"n"}), now=NOW)
    first = deployment(release=2, serving=2, served_at=NOW - 10)
    assert not any(isinstance(each, steps.TakeBack) for each in steps.plan_deployment(first, web(2, 1), look))


def test_the_release_before_is_started_again_and_serves() -> None:
    world = World(deployment(release=1))
    world.settle(web(1, 2))
    world.deployment = dataclasses.replace(world.deployment, release=2)
    world.settle(web(2, 2))
    # What the worker writes for TakeBack.
    world.deployment = dataclasses.replace(world.deployment, release=1, phase=Phase.UPDATE_FAILED)
    world.done.clear()
    world.settle(web(1, 2))
    assert names(world.done) == ["StartRun", "SwitchRoute", "Serve", "StopRun"]
    assert (world.outages, set(world.runs)) == (0, {"web-r1"})


# --- the ill -----------------------------------------------------------------------------------


def test_what_fails_its_check_over_the_network_leaves_the_route_and_is_replaced() -> None:
    wanted = run("web", 2, replicas=2, port=80)
    checked = dataclasses.replace(
        wanted, service=dataclasses.replace(wanted.service, healthcheck=HealthCheck(http="/"))
    )
    there = seen_run(checked)
    ill = dataclasses.replace(there.tasks[0], state="unhealthy", reason="GET / answers 500")
    seen = dataclasses.replace(there, tasks=(ill, there.tasks[1]))
    routes = {HOST: {task.id: task.endpoint or "" for task in there.tasks}}
    look = steps.Seen((seen,), routes, nodes=("n",), kept=frozenset({"n"}), now=NOW)
    record = deployment(release=2, serving=2)
    wish = steps.Wish((checked,), {HOST: "web"})
    (switch,) = steps.plan_deployment(record, wish, look)
    assert isinstance(switch, steps.SwitchRoute)
    assert switch.servers.keys() == {there.tasks[1].id}
    after = dataclasses.replace(look, routes={HOST: dict(switch.servers)})
    (replace,) = steps.plan_deployment(record, wish, after)
    assert replace == steps.ReplaceReplica(ill)
    assert replace.describe() == "replacing web.0, which is unhealthy: GET / answers 500"


def test_what_a_replica_waits_for_is_said() -> None:
    there = seen_run(run("web", 2, port=80), "starting")
    waits = dataclasses.replace(there.tasks[0], reason="nothing accepts connections on port 80")
    look = steps.Seen((dataclasses.replace(there, tasks=(waits,)),), nodes=("n",), kept=frozenset({"n"}))
    (wait,) = steps.plan_deployment(deployment(release=2, serving=1), web(2, 1), look)
    assert wait.describe() == "waiting for web: 0 of 1 ready (nothing accepts connections on port 80)"


# --- restart loops -----------------------------------------------------------------------------


def test_a_loop_is_named_with_its_cause() -> None:
    there = stopping((0, NOW - 120), (0, NOW - 90), (0, NOW - 60), (0, NOW - 30), (0, NOW))
    words = "restarting: stopped 5 times in 2 min; last: exited with code 1: no such table"
    assert restarts.loop(there, NOW, "no such table") == words
    look = steps.Seen(
        (there,),
        {HOST: {there.tasks[0].id: there.tasks[0].endpoint or ""}},
        nodes=("n",),
        kept=frozenset({"n"}),
        now=NOW,
        last_lines={there.name: "no such table"},
    )
    record = deployment(release=2, serving=2, phase=Phase.READY)
    (wait,) = steps.plan_deployment(record, web(2, 1), look)
    assert (wait.describe(), isinstance(wait, Wait)) == (f"web is {words}", True)
    assert steps.looping(web(2, 1), look) == {"web": words}


def test_few_stops_and_old_ones_are_no_loop() -> None:
    assert restarts.loop(stopping((0, NOW - 2), (0, NOW - 1)), NOW) == ""
    assert restarts.loop(stopping((0, NOW - 1), (1, NOW - 1), (2, NOW - 1)), NOW) == "", "a node that restarted"
    assert restarts.loop(stopping((0, NOW - 100), (0, NOW - 95), (0, NOW - 90)), NOW) == ""


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, int(NOW))), max_size=5))
def test_a_loop_says_how_often_it_stopped_or_nothing(moments: list[tuple[int, int]]) -> None:
    words = restarts.loop(stopping(*moments), NOW)
    assert words == "" or words.startswith(f"restarting: stopped {len(moments)} times in ")
