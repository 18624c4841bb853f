# SPDX-License-Identifier: Apache-2.0
"""How hosts are answered for, whatever runs: their rules, and in words why there is no replica.

Called by the planner of deployments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from stackyard.model.applications import Deployment
from stackyard.model.plan import Action
from stackyard.model.plan.runs import ready
from stackyard.model.plan.wishes import Seen, Wish
from stackyard.model.ports import Route, Run, RunSeen, Told


@dataclasses.dataclass(frozen=True)
class SwitchRoute(Action):
    """Lead new requests for a host to these replicas only (name → address:port), by new rules if there is a `route`."""

    host: str
    servers: Mapping[str, str]
    leaves_old: bool = False
    route: Route | None = None

    def describe(self) -> str:
        """Return what is routed where."""
        if self.route and self.route.maintenance:
            return f"{self.host} is in maintenance"
        if self.route:
            return f"{self.host} is answered for"
        return f"routing {self.host} to {len(self.servers)} replicas"


@dataclasses.dataclass(frozen=True)
class RemoveRoute(Action):
    """Answer for a host no longer."""

    host: str


def plan_rules(
    rules: Mapping[str, Route], routes: Mapping[str, Mapping[str, str]], told: Mapping[str, Told]
) -> Sequence[Action]:
    """Return what brings the router's rules to those that are wanted (`rules`, with notes), one host at a time."""
    for host, route in rules.items():
        now = told.get(host, Told())
        servers = routes.get(host, {})
        if now.mark != route.mark or (not servers and now.note != route.note):
            return [SwitchRoute(host, servers, route=route)]
    return []


def plan_dead(
    rules: Mapping[str, Route], routes: Mapping[str, Mapping[str, str]], runs: Sequence[RunSeen]
) -> Sequence[Action]:
    """Lead no requests to replicas that ended, however long what comes in their place may take.

    Where none is ready those stay that may still answer (ill, or not yet ready again); where all ended, none does.
    """
    tasks = [task for run in runs for task in run.tasks]
    ready = {task.id for task in tasks if task.state == "running"}
    there = {task.id for task in tasks if task.state != "exited"}
    for host, servers in routes.items():
        left = _of(servers, ready) or _of(servers, there)
        if not left and not tasks:
            continue  # nothing could be seen, which is no reason to turn people away
        if len(left) < len(servers):
            return [SwitchRoute(host, left, route=None if left else rules.get(host))]
    return []


def note(deployment: Deployment, runs: Sequence[Run], service: str | None) -> str:
    """Return why there may be no ready replica of a host's service (None: the release has none for it).

    It must not change from one look to the next while replicas come and go.
    """
    run = next((each for each in runs if each.service.name == service), None)
    if not runs:
        return "nothing has been released yet"
    if run is None:
        return "the release has no service for this name"
    if run.replicas == 0:
        return f"{service} is scaled to 0 replicas"
    if deployment.serving < 1:
        return "its first release is starting"
    return "its replicas have stopped or are starting again"


def _of(servers: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {name: address for name, address in servers.items() if name in names}


def plan_routes(wish: Wish, seen: Seen) -> list[Action]:
    """Return what leads requests to the replicas that are ready, and to no host that is not asked for."""
    by_name = {run.name: run for run in seen.runs}
    wanted = {run.service.name: run for run in wish.runs}
    for host, service in wish.hosts.items():
        run = wanted[service]
        there = ready(by_name[run.name]) if run.name in by_name else []
        servers = {task.id: task.endpoint for task in there if task.endpoint}
        current = seen.routes.get(host, {})
        if (servers or run.replicas == 0) and dict(current) != servers:
            return [SwitchRoute(host, servers, leaves_old=bool(current.keys() - servers.keys()))]
    return [RemoveRoute(host) for host in seen.routes if host not in wish.hosts and host not in wish.rules]
