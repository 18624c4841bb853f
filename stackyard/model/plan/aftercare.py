# SPDX-License-Identifier: Apache-2.0
"""What serves is looked after: a release that lied is taken back, the ill are replaced, restart loops are named.

Called by the planner of deployments, and by the worker for what it tells.
"""

from __future__ import annotations

import dataclasses

from stackyard.model.applications import Deployment
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait, restarts
from stackyard.model.plan.discovery import plan_discovery
from stackyard.model.plan.routes import plan_routes
from stackyard.model.plan.wishes import Seen, Wish
from stackyard.model.ports import Replica, RunSeen

LOOP_LOOK_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class ReplaceReplica(Action):
    """Stop a replica that fails its check over the network, which no engine sees; another one takes its place."""

    replica: Replica

    def describe(self) -> str:
        """Return which, and why."""
        asked = self.replica
        return f"replacing {asked.service}.{asked.slot}, which is unhealthy: {asked.reason or 'its check fails'}"


@dataclasses.dataclass(frozen=True)
class TakeBack(Action):
    """Ask for the release that served before: the one that serves was ready, and then failed."""

    release: int
    run: str
    reason: str

    def describe(self) -> str:
        """Return which, and why."""
        return f"taking it back to release {self.release}: {self.reason}"


def proving(deployment: Deployment, wish: Wish, now: float) -> bool:
    """Tell whether the release that serves may still be taken back for the one before it."""
    serves = deployment.serving == deployment.release
    return serves and deployment.former > 0 and now - deployment.served_at < wish.proving_seconds


def looping(wish: Wish, seen: Seen) -> dict[str, str]:
    """Return in words, by service, which runs keep restarting and why."""
    by_name = {run.name: run for run in seen.runs}
    there = [by_name[run.name] for run in wish.runs if run.name in by_name]
    words = {run.service: restarts.loop(run, seen.now, seen.last_lines.get(run.name, "")) for run in there}
    return {service: said for service, said in words.items() if said}


def plan_aftercare(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Look after what serves: take a release back that lied, replace the ill, lead requests to all that are ready."""
    if deployment.serving != deployment.release:
        return []
    return (
        _plan_back(deployment, wish, seen)
        or _plan_ill(wish, seen)
        or plan_routes(wish, seen)
        or plan_discovery(deployment.workload_id, wish.runs, seen.runs, seen.registry)
    )


def _plan_back(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    if not proving(deployment, wish, seen.now):
        return []
    wanted = {run.name for run in wish.runs}
    for run in seen.runs:
        # What runs on from the release before has been proved.
        reason = _lied(run, deployment.served_at) if run.name in wanted and run.release == deployment.serving else ""
        if reason:
            return [TakeBack(deployment.former, run.name, f"{run.service} {reason}")]
    return []


def _lied(run: RunSeen, since: float) -> str:
    """Return what became of a run that was ready, if it failed for more than a moment."""
    stopped = restarts.stops(run, since)
    if restarts.repeated(stopped):
        return f"keeps stopping: {stopped[0].reason}"
    unhealthy = [task for task in run.tasks if task.state == "unhealthy"]
    return f"became unhealthy: {unhealthy[0].reason or 'its health check fails'}" if unhealthy else ""


def _plan_ill(wish: Wish, seen: Seen) -> list[Action]:
    by_name = {run.name: run for run in seen.runs}
    for run in wish.runs:
        check, there = run.service.healthcheck, by_name.get(run.name)
        if check and (check.http or check.tcp) and there:
            ill: list[Action] = [ReplaceReplica(task) for task in there.tasks if task.state == "unhealthy"]
            if ill:
                return ill
    return []


def plan_loops(deployment: Deployment, wish: Wish, seen: Seen) -> list[Action]:
    """Say of what serves that it keeps restarting, for as long as it does."""
    words = looping(wish, seen) if deployment.phase is Phase.READY else {}
    said = "; ".join(f"{service} is {text}" for service, text in words.items())
    return [Wait(said, LOOP_LOOK_SECONDS, nudged=True)] if said else []
