# SPDX-License-Identifier: Apache-2.0
"""The runs of a clustered group's members: all started at once, formed under a grant, replaced one at a time.

Called by the planner of deployments. Who may begin the group's cluster is `plan.groups`' business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from stackyard.model.applications import Deployment
from stackyard.model.groups import Formation, Group, MemberSeen
from stackyard.model.plan import Action, Wait, groups
from stackyard.model.plan.members import state_of
from stackyard.model.plan.runs import Fail, StartRun, StopRun, hopeless, lack, ready
from stackyard.model.ports import Run, RunSeen


@dataclasses.dataclass(frozen=True)
class GroupRuns:
    """A group as it shall run (`runs`, in the order of its members) and as it does (`seen`, old runs too).

    `said` has what members say, where they were asked.
    """

    name: str
    settings: Group
    runs: tuple[Run, ...]
    seen: tuple[RunSeen, ...]
    said: Mapping[str, MemberSeen] = dataclasses.field(default_factory=dict)

    @property
    def synced(self) -> set[str]:
        """Return the members that serve: their health check says so."""
        return {run.service for run in self.seen if ready(run)}

    @property
    def old(self) -> list[RunSeen]:
        """Return the runs of members that shall run otherwise, those first that do not serve."""
        wanted, members = {run.name for run in self.runs}, {run.service.name for run in self.runs}
        found = [run for run in self.seen if run.service in members and run.name not in wanted]
        return sorted(found, key=lambda run: run.service in self.synced)


def settled(name: str, deployment: Deployment, seen: Sequence[RunSeen]) -> bool:
    """Tell whether a group's members need not be asked: it is formed, and all that there are serve."""
    mine = [run for run in seen if run.group == name]
    return state_of(deployment.groups, name).formation is Formation.FORMED and all(map(ready, mine))


def plan_group(deployment: Deployment, group: GroupRuns, now: float) -> list[Action]:
    """Return what is left to do until all members of the group serve as they shall."""
    return (
        _plan_missing(group)
        or _plan_stale(group, serving=False)
        or _plan_formation(deployment, group, now)
        or _plan_stale(group, serving=True)
        or _plan_ready(deployment, group)
    )


def refusal(run: Run, runs: Sequence[Run], settings: Mapping[str, Group], nodes: Sequence[str]) -> list[Action]:
    """Refuse the place of a member where each shall have a node to itself and there are too few."""
    name = run.service.group_name
    count = sum(each.service.group_name == name for each in runs)
    if not name or name not in settings or not settings[name].spread or len(nodes) >= count:
        return []
    has = f"{len(nodes)} ready node{'' if len(nodes) == 1 else 's'}"
    why = f"group {name} asks for a node for each of its {count} members (spread), and the cluster has {has}"
    return [Fail(run.name, run.service.name, why)]


def _plan_missing(group: GroupRuns) -> list[Action]:
    """Start members that have no container, and those that were scaled to nothing."""
    there = {run.name: run for run in group.seen}
    held = {run.service for run in group.old}
    for run in group.runs:
        missing = run.name not in there and run.service.name not in held
        if missing or (run.name in there and there[run.name].replicas != run.replicas):
            return [StartRun(run)]
    return []


def _plan_stale(group: GroupRuns, *, serving: bool) -> list[Action]:
    """Stop one member that shall run otherwise, if it may be taken away; its successor finds its volumes."""
    if not group.old or (group.old[0].service in group.synced) != serving:
        return []
    first = group.old[0]
    if groups.may_stop(first.service, len(group.runs), group.synced, group.settings.max_unavailable):
        return [StopRun(first)]
    return []


def _plan_formation(deployment: Deployment, group: GroupRuns, now: float) -> list[Action]:
    if not group.said and group.synced:
        return []
    return groups.plan_formation(
        groups.GroupLook(
            name=group.name,
            wanted=tuple(run.service.name for run in group.runs),
            state=state_of(deployment.groups, group.name),
            present=frozenset(run.service for run in group.seen),
            seen=group.said,
            recovery=deployment.recoveries.get(group.name),
            volumes=any(run.service.mounts for run in group.runs),
            now=now,
        )
    )


def _plan_ready(deployment: Deployment, group: GroupRuns) -> list[Action]:
    """Wait until all serve; a member of a new release that will not is told."""
    by_name = {run.name: run for run in group.seen}
    lacking = [run for run in group.runs if run.name not in by_name or not ready(by_name[run.name])]
    there = [(run, by_name[run.name]) for run in lacking if run.name in by_name]
    for run, found in there:
        failed = hopeless(found) if run.release != deployment.serving else ""
        if failed:
            return [Fail(run.name, run.service.name, failed)]
    if not lacking:
        return []
    words = groups.listed(run.service.name for run in lacking if run.service.name not in group.synced)
    said = next((lack(found) for _, found in there), "")
    return [Wait(f"waiting for group {group.name}: {words} not synced yet{said}", groups.LOOK_SECONDS)]
