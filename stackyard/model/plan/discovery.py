# SPDX-License-Identifier: Apache-2.0
"""Who is registered where others look for services: the ready replicas of the release that serves, and nobody else.

Called by the planner of deployments, for applications that run a registry themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from stackyard.model.discovery import Registration, registration
from stackyard.model.plan import Action
from stackyard.model.ports import Run, RunSeen


@dataclasses.dataclass(frozen=True)
class Registry:
    """The registry that an environment runs: where it answers, and the digests of what it holds by id."""

    endpoint: str
    held: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Announce(Action):
    """Register replicas, and take out those that are no more."""

    endpoint: str
    put: tuple[Registration, ...] = ()
    drop: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return how many of each service are told of."""
        names = sorted({each.name for each in self.put})
        told = f"registering {len(self.put)} replicas of {', '.join(names)}" if self.put else ""
        gone = f"taking {len(self.drop)} out of the registry" if self.drop else ""
        return "; ".join(words for words in (told, gone) if words)


def plan_discovery(owner: str, runs: Sequence[Run], seen: Sequence[RunSeen], registry: Registry | None) -> list[Action]:
    """Return what brings the registry to the ready replicas of `runs`; nothing where there is none, or none answers.

    One that is registered and said to start was ready: a process that has just begun has not asked it yet.
    """
    if registry is None:
        return []
    wanted = _known(owner, runs, seen, "running")
    put = tuple(each for each in wanted.values() if registry.held.get(each.id) != each.digest)
    kept = wanted.keys() | _known(owner, runs, seen, "starting").keys()
    drop = tuple(ident for ident in registry.held if ident not in kept)
    return [Announce(registry.endpoint, put, drop)] if put or drop else []


def _known(owner: str, runs: Sequence[Run], seen: Sequence[RunSeen], state: str) -> dict[str, Registration]:
    """Return what can be registered of the replicas in a state, by id."""
    by_name = {run.name: run for run in seen}
    found = [
        registration(owner, run.service, task.id, task.endpoint)
        for run in runs
        if run.name in by_name
        for task in by_name[run.name].tasks
        if task.state == state and task.endpoint
    ]
    return {each.id: each for each in found if each is not None}
