# SPDX-License-Identifier: Apache-2.0
"""From a release to what runs: new up, ready, routed, old drained and stopped; the old serves until then."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.model.applications import Deployment
from stackyard.model.groups import Group
from stackyard.model.phase import ENDING, Phase
from stackyard.model.plan import Action, Wait, group_runs, members, restarts
from stackyard.model.plan.aftercare import (
    LOOP_LOOK_SECONDS,
    ReplaceReplica,
    TakeBack,
    looping,
    plan_aftercare,
    plan_loops,
    proving,
)
from stackyard.model.plan.routes import RemoveRoute, SwitchRoute, plan_dead, plan_routes, plan_rules
from stackyard.model.plan.runs import Fail, StartRun, StopRun, hopeless, lack, ready
from stackyard.model.plan.stages import plan_after, plan_stage
from stackyard.model.plan.wishes import Seen, Wish
from stackyard.model.ports import Run, RunSeen

__all__ = [  # callers find them here with the rest
    "Fail",
    "RemoveRoute",
    "ReplaceReplica",
    "Seen",
    "StartRun",
    "StopRun",
    "SwitchRoute",
    "TakeBack",
    "Wish",
    "looping",
    "proving",
    "ready",
]

CLEARED = -1
"""Value of `serving` that tells that runs, networks and volumes have been removed."""


@dataclasses.dataclass(frozen=True)
class PinService(Action):
    """Decide which node holds the volumes of a service."""

    service: str
    node: str
    lost: str | None = None

    def describe(self) -> str:
        """Return the decision, and what it means for data."""
        gone = f"; node {self.lost} with its data is gone, the volumes start empty" if self.lost else ""
        return f"volumes of {self.service} are kept on {self.node}{gone}"


@dataclasses.dataclass(frozen=True)
class Serve(Action):
    """Record that the release asked for is the one that serves."""

    release: int


@dataclasses.dataclass(frozen=True)
class RemoveRuns(Action):
    """Remove all runs, networks and volumes of the application."""


def plan_deployment(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Return what is left to do for the deployment."""
    if deployment.phase in ENDING:
        return _plan_removal(deployment, seen)
    return (
        _plan_hosts(wish, seen)
        or _plan_pins(deployment, wish, seen)
        or plan_aftercare(deployment, wish, seen)
        or _plan_stages(deployment, wish, seen)
        or _plan_runs(deployment, wish, seen)
        or plan_routes(wish, seen)
        or _plan_serving(deployment)
        or _plan_old(deployment, wish, seen)
        or _plan_after(deployment, wish, seen)
        or plan_loops(deployment, wish, seen)
    )


def _plan_removal(deployment: Deployment, seen: Seen) -> list[Action]:
    routes: list[Action] = [RemoveRoute(host) for host in seen.routes]
    return routes or ([] if deployment.serving == CLEARED else [RemoveRuns()])


def _plan_hosts(wish: Wish, seen: Seen) -> list[Action]:
    """Have hosts answered for by their rules, and lead no requests to replicas that ended, whatever else is to do."""
    return [*plan_dead(wish.rules, seen.routes, seen.runs), *plan_rules(wish.rules, seen.routes, seen.told)]


def _plan_pins(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    if not seen.nodes:
        return [Wait("waiting for a node of the cluster to be ready", 1.0)] if wish.runs else []
    for run in wish.runs:
        service = run.service
        pinned = deployment.pins.get(service.name)
        if (service.mounts or service.group) and pinned not in seen.kept:
            refusal = group_runs.refusal(run, wish.runs, wish.groups, seen.nodes)
            node = members.node_for(run, wish.runs, deployment.pins, seen.nodes)
            return refusal or [PinService(service.name, node, lost=pinned)]
    return []


def _plan_stages(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Let each stage end before anything new starts, but for what it needs itself."""
    for stage in wish.stages:
        first = tuple(run for run in wish.runs if run.service.origin in stage.needs)
        left = _plan_runs(deployment, dataclasses.replace(wish, runs=first), seen)
        if left and not (isinstance(left[0], Wait) and _all_serve(first, seen)):
            return left
        left = plan_stage(stage, seen.stages.get(stage.service), done_before=stage.service in deployment.initialised)
        if left:
            return left
    return []


def _all_serve(runs: Sequence[Run], seen: Seen) -> bool:
    """Tell whether all of these can be used: every service, and every group as soon as one member serves."""
    by_name = {run.name: run for run in seen.runs}
    lacking = {
        run.service.origin for run in runs if run.name not in by_name or len(ready(by_name[run.name])) < run.replicas
    }
    return all(_group_serves(name, seen) for name in lacking)


def _group_serves(name: str, seen: Seen) -> bool:
    """Tell whether a group can be used: the other members join it by themselves. No service that is none can."""
    return bool(name) and any(run.group == name and ready(run) for run in seen.runs)


def _plan_after(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Let what follows on an upgrade wait until the release will not be taken back any more."""
    if wish.after and proving(deployment, wish, seen.now):
        return [
            Wait(f"release {deployment.serving} proves itself before {wish.after[0].service} follows", 2.0, nudged=True)
        ]
    return plan_after(wish.after, seen.stages)


def _plan_runs(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Bring every wanted run to its replicas: each once what it depends on is ready, and beside the others.

    Of a group that a service depends on, one member that serves is enough.
    """
    by_name = {run.name: run for run in seen.runs}
    waits: list[Wait] = []
    lacking: set[str] = set()
    for run in wish.runs:
        if lacking.isdisjoint(run.service.depends_on):
            left = _plan_run(deployment, run, by_name.get(run.name), wish, seen)
            if not left:
                continue
            if not isinstance(left[0], Wait):
                return left
            waits.append(left[0])
            if _group_serves(run.service.group_name, seen):
                continue
        lacking.add(run.service.origin)
    return [min(waits, key=lambda wait: wait.seconds)] if waits else []


def _plan_run(deployment: Deployment, run: Run, there: RunSeen | None, wish: Wish, seen: Seen) -> list[Action]:
    group = run.service.group_name
    if group:
        return group_runs.plan_group(deployment, _group(group, wish, seen), seen.now)
    if there is None:
        return _plan_start(run, seen)
    if there.replicas != run.replicas or there.changed:
        return [StartRun(run)]
    return _plan_ready(deployment, run, there, seen)


def _group(name: str, wish: Wish, seen: Seen) -> group_runs.GroupRuns:
    """Return a group as it shall run and as it does."""
    wanted = tuple(run for run in wish.runs if run.service.group_name == name)
    there = tuple(run for run in seen.runs if run.group == name)
    return group_runs.GroupRuns(name, wish.groups.get(name, Group()), wanted, there, seen.members.get(name, {}))


def _plan_start(run: Run, seen: Seen) -> list[Action]:
    """Start the new beside the old, but after it where both would write to the same volume."""
    old = [other for other in seen.runs if other.service == run.service.name] if run.service.mounts else []
    return [StopRun(old[0])] if old else [StartRun(run)]


def _plan_ready(deployment: Deployment, run: Run, there: RunSeen, seen: Seen) -> list[Action]:
    if len(ready(there)) >= run.replicas:
        return []
    # What serves already is left to the engine's own restarts; only a new run is judged.
    if run.release != deployment.serving:
        failed = hopeless(there)
        if failed:
            return [Fail(there.name, there.service, failed)]
    loop = restarts.loop(there, seen.now, seen.last_lines.get(there.name, ""))
    if loop:
        return [Wait(f"{there.service} is {loop}", LOOP_LOOK_SECONDS, nudged=deployment.phase is Phase.READY)]
    return [Wait(f"waiting for {there.service}: {len(ready(there))} of {run.replicas} ready{lack(there)}")]


def _plan_serving(deployment: Deployment) -> list[Action]:
    return [Serve(deployment.release)] if deployment.serving != deployment.release else []


def _plan_old(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Stop what no release asks for, once its requests are done or their time is up."""
    wanted = {run.name for run in wish.runs}
    old: Sequence[RunSeen] = [run for run in seen.runs if run.name not in wanted]
    drained = seen.now - deployment.switched_at > wish.drain_seconds
    for run in old:
        if drained or not seen.busy & {task.id for task in run.tasks}:
            return [StopRun(run)]
    return [Wait(f"draining {old[0].service} of release {old[0].release}", 0.2)] if old else []
