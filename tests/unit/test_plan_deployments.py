# SPDX-License-Identifier: Apache-2.0
"""The deployment planner against a small world: what is done, in what order, and what never happens."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from stackyard.model.applications import Deployment, Mount, Service
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import deployments as steps
from stackyard.model.ports import Replica, Run, RunSeen

HOST = "shop.demo.localhost"


def run(name: str, release: int, *, replicas: int = 1, port: int | None = None, volume: bool = False) -> Run:
    mounts = (Mount("data", "/data"),) if volume else ()
    service = Service(name, image="i", port=port, mounts=mounts)
    return Run(f"{name}-r{release}", "app", release, service, replicas, {}, f"d{release}")


def seen_run(wanted: Run, state: str = "running", count: int | None = None) -> RunSeen:
    number = wanted.replicas if count is None else count
    tasks = tuple(
        Replica(f"{wanted.name}.{slot}", wanted.name, wanted.service.name, slot, "n", state, f"10.0.0.1:{slot}")
        for slot in range(number)
    )
    return RunSeen(wanted.name, "app", wanted.service.name, wanted.release, wanted.digest, wanted.replicas, tasks=tasks)


def deployment(**values: object) -> Deployment:
    kept: dict[str, object] = {"project_id": "p", "name": "shop", "app_id": "app", "cluster_id": "c", **values}
    return Deployment(**kept)  # type: ignore[arg-type]


@dataclasses.dataclass
class World:
    """Does what the plan says, and remembers what users would have noticed."""

    deployment: Deployment
    runs: dict[str, RunSeen] = dataclasses.field(default_factory=dict)
    routes: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    done: list[Action] = dataclasses.field(default_factory=list)
    failing: frozenset[str] = frozenset()
    outages: int = 0

    def settle(self, wish: steps.Wish, looks: int = 60) -> None:
        for _ in range(looks):
            plan = steps.plan_deployment(self.deployment, wish, self.look())
            if not plan:
                return
            self.perform(plan[0])
            if isinstance(plan[0], steps.Fail):
                return
            self.note_outage()
        raise AssertionError(f"no end: {self.done[-5:]}")

    def look(self) -> steps.Seen:
        return steps.Seen(
            tuple(self.runs.values()),
            self.routes,
            frozenset(),
            ("node-1", "node-2"),
            frozenset({"node-1", "node-2"}),
            now=1e9,
        )

    def perform(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case steps.StartRun(run=wanted):
                state = "exited" if wanted.name in self.failing else "running"
                count = 3 if state == "exited" else None
                self.runs[wanted.name] = seen_run(wanted, state, count)
            case steps.StopRun(run=old):
                del self.runs[old.name]
            case steps.SwitchRoute(host=host, servers=servers):
                self.routes[host] = dict(servers)
            case steps.RemoveRoute(host=host):
                del self.routes[host]
            case steps.Serve(release=release):
                self.deployment = dataclasses.replace(self.deployment, serving=release)
            case steps.PinService(service=service, node=node):
                pins = {**self.deployment.pins, service: node}
                self.deployment = dataclasses.replace(self.deployment, pins=pins)
            case steps.RemoveRuns():
                self.runs.clear()
                self.deployment = dataclasses.replace(self.deployment, serving=steps.CLEARED)

    def note_outage(self) -> None:
        alive = {task.id for found in self.runs.values() for task in found.tasks if task.state == "running"}
        for servers in self.routes.values():
            self.outages += not (servers.keys() & alive)


def names(actions: list[Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def shop(release: int, replicas: int = 2) -> steps.Wish:
    runs = (run("redis", 1, volume=True), run("web", release, replicas=replicas, port=8000))
    return steps.Wish(runs, {HOST: "web"})


def test_a_first_release_starts_in_order_then_routes_then_serves() -> None:
    world = World(deployment(release=1))
    world.settle(shop(1))
    assert names(world.done) == ["PinService", "StartRun", "StartRun", "SwitchRoute", "Serve"]
    assert world.routes[HOST].keys() == {"web-r1.0", "web-r1.1"}


def test_a_new_release_leaves_what_has_not_changed_and_never_has_no_server() -> None:
    world = World(deployment(release=1))
    world.settle(shop(1))
    world.done.clear()
    world.deployment = dataclasses.replace(world.deployment, release=2, phase=Phase.UPDATING)
    world.settle(shop(2))
    assert names(world.done) == ["StartRun", "SwitchRoute", "Serve", "StopRun"]
    assert (world.outages, set(world.runs)) == (0, {"redis-r1", "web-r2"})


def test_a_run_that_somebody_changed_by_hand_is_brought_back() -> None:
    world = World(deployment(release=1))
    world.settle(shop(1))
    world.done.clear()
    world.runs["web-r1"] = dataclasses.replace(world.runs["web-r1"], changed=True)
    world.settle(shop(1))
    assert (names(world.done), world.runs["web-r1"].changed) == (["StartRun"], False)


def test_a_release_that_keeps_stopping_fails_and_the_old_one_goes_on() -> None:
    world = World(deployment(release=1), failing=frozenset({"web-r2"}))
    world.settle(shop(1))
    world.deployment = dataclasses.replace(world.deployment, release=2, phase=Phase.UPDATING)
    world.settle(shop(2))
    assert isinstance(world.done[-1], steps.Fail)
    assert world.routes[HOST].keys() == {"web-r1.0", "web-r1.1"}
    # The worker asks for the old release again: only the new run goes.
    world.deployment = dataclasses.replace(world.deployment, release=1, phase=Phase.UPDATE_FAILED)
    world.done.clear()
    world.settle(shop(1))
    assert (names(world.done), set(world.runs)) == (["StopRun"], {"redis-r1", "web-r1"})


def test_a_service_with_a_volume_stops_before_its_successor_starts() -> None:
    world = World(deployment(release=1))
    world.settle(steps.Wish((run("db", 1, volume=True),)))
    world.done.clear()
    world.deployment = dataclasses.replace(world.deployment, release=2)
    world.settle(steps.Wish((run("db", 2, volume=True),)))
    assert names(world.done) == ["StopRun", "StartRun", "Serve"]


def test_requests_in_flight_delay_the_stop_until_their_time_is_up() -> None:
    old, new = run("web", 1, port=80), run("web", 2, port=80)
    wish = steps.Wish((new,), {HOST: "web"}, drain_seconds=10)
    record = deployment(release=2, serving=2, switched_at=100.0)
    routes = {HOST: {"web-r2.0": "10.0.0.1:0"}}
    look = steps.Seen(
        (seen_run(old), seen_run(new)), routes, frozenset({"web-r1.0"}), ("n",), frozenset({"n"}), now=105
    )
    assert isinstance(steps.plan_deployment(record, wish, look)[0], Wait)
    late = dataclasses.replace(look, now=111)
    assert isinstance(steps.plan_deployment(record, wish, late)[0], steps.StopRun)


def test_a_lost_node_is_named_with_the_data_that_went_with_it() -> None:
    record = deployment(release=1, pins={"redis": "node-9"})
    plan = steps.plan_deployment(record, shop(1), steps.Seen(nodes=("node-1",)))
    assert plan == [steps.PinService("redis", "node-1", lost="node-9")]
    assert "node-9" in plan[0].describe()


def test_data_on_a_node_that_is_down_or_being_replaced_is_waited_for() -> None:
    record = deployment(release=1, pins={"redis": "node-9"})
    look = steps.Seen(nodes=("node-1",), kept=frozenset({"node-1", "node-9"}))
    assert not isinstance(steps.plan_deployment(record, shop(1), look)[0], steps.PinService)


def test_removal_ends_with_nothing_even_when_it_was_interrupted() -> None:
    world = World(deployment(release=1))
    world.settle(shop(1))
    world.deployment = dataclasses.replace(world.deployment, phase=Phase.DELETING)
    world.runs.clear()  # killed after the runs went, before networks and volumes did
    world.settle(steps.Wish())
    assert names(world.done)[-2:] == ["RemoveRoute", "RemoveRuns"]
    assert (world.runs, world.routes) == ({}, {})


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=6), st.data())
def test_any_sequence_of_wishes_converges_with_a_server_at_all_times(
    wishes: list[tuple[int, int]], data: st.DataObject
) -> None:
    world = World(deployment(release=wishes[0][0]))
    world.settle(shop(*wishes[0]))
    for release, replicas in wishes[1:]:
        world.deployment = dataclasses.replace(world.deployment, release=release)
        interrupted = data.draw(st.integers(0, 6))
        for _ in range(interrupted):  # a worker that dies after any action
            plan = steps.plan_deployment(world.deployment, shop(release, replicas), world.look())
            if plan:
                world.perform(plan[0])
                world.note_outage()
        world.settle(shop(release, replicas))
    release, replicas = wishes[-1]
    assert set(world.runs) == {"redis-r1", f"web-r{release}"}
    assert len(world.routes[HOST]) == replicas
    assert world.outages == 0


def needing(name: str, *needs: str) -> Run:
    made = run(name, 1)
    return dataclasses.replace(made, service=dataclasses.replace(made.service, depends_on=needs))


def test_what_depends_on_nothing_that_is_lacking_starts_beside_the_others() -> None:
    database, cache, api, page = (
        needing("database"),
        needing("cache"),
        needing("api", "database"),
        needing("page", "api"),
    )
    wish = steps.Wish((database, cache, api, page))
    there: list[RunSeen] = []

    def first() -> Action:
        seen = steps.Seen(tuple(there), {}, frozenset(), ("n",), frozenset({"n"}), now=1e9)
        return steps.plan_deployment(deployment(release=1), wish, seen)[0]

    assert first() == steps.StartRun(database)
    there.append(seen_run(database, "starting"))
    assert first() == steps.StartRun(cache)
    there.append(seen_run(cache))
    assert first() == Wait("waiting for database: 0 of 1 ready")
    there[0] = seen_run(database)
    assert first() == steps.StartRun(api)
    there.append(seen_run(api, "starting"))
    assert isinstance(first(), Wait)
