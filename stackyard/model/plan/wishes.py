# SPDX-License-Identifier: Apache-2.0
"""What a deployment's release asks for, and what a look at it found. Shared by the parts of its planner."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from stackyard.model.groups import Group, MemberSeen
from stackyard.model.jobs import Job
from stackyard.model.plan.discovery import Registry
from stackyard.model.plan.stages import ReleaseStage
from stackyard.model.ports import Route, Run, RunSeen, Told


@dataclasses.dataclass(frozen=True)
class Seen:
    """A look at a deployment.

    `routes` has for each of the application's hosts the servers that take new requests; `busy` the names
    of replicas that still finish requests; `nodes` the names of nodes that can run something now, `kept` those that
    the cluster has or will have again: what their volumes hold is not lost while they are down or being replaced.
    `stages` has the jobs of the release stage by service, `told` what the router was told of each host,
    `registry` what the application's own registry of services holds,
    `last_lines`, by name of a run that keeps restarting, the last that its newest ended replica wrote. `members` has
    what members say, by group, where not all of a group are ready.
    """

    runs: tuple[RunSeen, ...] = ()
    routes: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    nodes: tuple[str, ...] = ()
    kept: frozenset[str] = frozenset()
    now: float = 0
    stages: Mapping[str, Job] = dataclasses.field(default_factory=dict)
    last_lines: Mapping[str, str] = dataclasses.field(default_factory=dict)
    told: Mapping[str, Told] = dataclasses.field(default_factory=dict)
    registry: Registry | None = None
    members: Mapping[str, Mapping[str, MemberSeen]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a release asks for: its runs in dependency order, and the service that each host name leads to.

    `rules` say how hosts are answered for, those too that no service of the release has.
    For `proving_seconds` after it began to serve, a release whose replicas keep failing is taken back.
    `stages` come before anything else of the release is started, those of `after` once it alone serves.
    `groups` says how groups are treated, by service; their members are runs like others.
    """

    runs: tuple[Run, ...] = ()
    hosts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drain_seconds: float = 10
    stages: tuple[ReleaseStage, ...] = ()
    proving_seconds: float = 30
    rules: Mapping[str, Route] = dataclasses.field(default_factory=dict)
    after: tuple[ReleaseStage, ...] = ()
    groups: Mapping[str, Group] = dataclasses.field(default_factory=dict)
