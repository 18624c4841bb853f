# SPDX-License-Identifier: Apache-2.0
"""How hosts are answered for: rules first, dead replicas out, and reasons that stay the same while replicas crash."""

from __future__ import annotations

import dataclasses

from stackyard.model import domains
from stackyard.model.applications import Deployment, Maintenance, Service, Stage
from stackyard.model.domains import Domain, Origin
from stackyard.model.plan import deployments as steps
from stackyard.model.plan import routes
from stackyard.model.ports import Replica, Route, Run, RunSeen, TLSPair, Told

HOST = "shop.demo.localhost"
DEPLOYMENT = Deployment(project_id="p", name="shop", app_id="app", cluster_id="c", release=1, serving=1)
WEB = Service("web", image="i", port=80)


def run(replicas: int = 1) -> Run:
    return Run("web-1", "app", 1, WEB, replicas, {}, "d")


def seen_run(*states: str, replicas: int = 1) -> RunSeen:
    tasks = tuple(
        Replica(f"t{at}", "web-1", "web", at, "n", state, f"10.0.0.1:{at}") for at, state in enumerate(states)
    )
    return RunSeen("web-1", "app", "web", 1, "d", replicas, tasks)


def seen(*states: str, servers: tuple[str, ...] = (), told: Told | None = None, replicas: int = 1) -> steps.Seen:
    routed = {HOST: {name: f"10.0.0.1:{name[1:]}" for name in servers}}
    return steps.Seen((seen_run(*states, replicas=replicas),), routed, nodes=("n",), told={HOST: told} if told else {})


def wish(route: Route, replicas: int = 1) -> steps.Wish:
    return steps.Wish((run(replicas),), {HOST: "web"}, rules={HOST: route})


def test_new_rules_come_before_a_replica_that_is_not_ready() -> None:
    route = Route("app/production", maintenance=Maintenance("closed"))
    plan = steps.plan_deployment(DEPLOYMENT, wish(route), seen("starting", told=Told("old")))
    assert plan[0] == steps.SwitchRoute(HOST, {}, route=route)
    assert plan[0].describe() == f"{HOST} is in maintenance"


def test_nothing_is_told_twice_and_notes_only_without_a_server() -> None:
    route = Route("app/production", note="why")
    there = seen("running", servers=("t0",), told=Told(route.mark, ""))
    assert steps.plan_deployment(DEPLOYMENT, wish(route), there) == []
    gone = seen("exited", told=Told(route.mark, "another"))
    assert steps.plan_deployment(DEPLOYMENT, wish(route), gone)[0] == steps.SwitchRoute(HOST, {}, route=route)


def test_when_all_have_ended_nobody_is_led_to_them() -> None:
    route = Route("app/production", note="why")
    told = Told(route.mark)
    plan = steps.plan_deployment(DEPLOYMENT, wish(route), seen("exited", servers=("t0",), told=told))
    assert plan[0] == steps.SwitchRoute(HOST, {}, route=route)


def test_the_last_that_may_still_answer_stays() -> None:
    route = Route("app/production")
    told = Told(route.mark)
    wanted = wish(route, 2)
    ill = seen("exited", "unhealthy", servers=("t0", "t1"), told=told, replicas=2)
    plan = steps.plan_deployment(DEPLOYMENT, wanted, ill)
    assert plan[0] == steps.SwitchRoute(HOST, {"t1": "10.0.0.1:1"})
    blind = dataclasses.replace(ill, runs=())
    assert not [
        each for each in steps.plan_deployment(DEPLOYMENT, wanted, blind) if isinstance(each, steps.SwitchRoute)
    ]


def test_scaled_to_nothing_leads_nowhere_and_says_so() -> None:
    assert routes.note(DEPLOYMENT, (run(0),), "web") == "web is scaled to 0 replicas"
    route = Route("app/production", note="web is scaled to 0 replicas")
    none = steps.Seen(
        (seen_run(replicas=0),), {HOST: {"t9": "10.0.0.9:1"}}, nodes=("n",), told={HOST: Told(route.mark)}
    )
    world = steps.plan_deployment(DEPLOYMENT, wish(route, 0), none)
    assert world[0] == steps.SwitchRoute(HOST, {}, leaves_old=True)


def test_reasons_by_what_there_is() -> None:
    assert routes.note(DEPLOYMENT, (), None) == "nothing has been released yet"
    assert routes.note(DEPLOYMENT, (run(),), "api") == "the release has no service for this name"
    first = dataclasses.replace(DEPLOYMENT, serving=0)
    assert routes.note(first, (run(),), "web") == "its first release is starting"
    assert "stopped" in routes.note(DEPLOYMENT, (run(),), "web")


def test_marks_differ_with_all_but_the_note() -> None:
    base = Route("a/production")
    pair = TLSPair("", "cert", "key")
    others = [
        Route("b/production"),
        Route("a/production", https_only=True),
        Route("a/production", maintenance=Maintenance()),
        Route("a/production", maintenance=Maintenance("x")),
        Route("a/production", pair=pair),
        Route("a/production", pair=TLSPair("", "cert", "other")),
    ]
    assert len({base.mark, *(each.mark for each in others)}) == 7
    assert Route("a/production", note="why").mark == base.mark
    assert "key" not in repr(Route("a/production", pair=pair)).replace("key=", "")


def domain(host: str, **fields: object) -> Domain:
    return Domain(project_id="p", app_id="app", host=host, **fields)  # type: ignore[arg-type]


def test_hosts_of_services_and_domains() -> None:
    api = Service("api", image="i", port=81, domains=("api.example.org",))
    job = Service("job", image="i", port=82, stage=Stage.CRON)
    own = [
        domain("www.example.org"),
        domain("x.example.org", service="gone"),
        domain("api.example.org", service="api", origin=Origin.RELEASE),
        domain("old.example.org", service="api", origin=Origin.RELEASE),
    ]
    assert domains.hosts(HOST, (api, WEB, job), own) == {
        HOST: "web",
        f"api.{HOST}": "api",
        "www.example.org": "web",
        "x.example.org": None,
        "api.example.org": "api",
    }
    assert domains.hosts(HOST, (), own[:1]) == {HOST: None, "www.example.org": None}
    assert domains.hosts(HOST, (Service("worker", image="i"),), []) == {}
