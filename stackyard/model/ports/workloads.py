# SPDX-License-Identifier: Apache-2.0
"""Workloads: services that run on a formed cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from stackyard.model.applications import Service
from stackyard.model.files import RunFile
from stackyard.model.logs import Checkpoint, LogLine
from stackyard.model.ports.engines import ClusterAccess


@dataclasses.dataclass(frozen=True)
class Run:
    """One service of one release as it shall run: `name` is unique in the cluster.

    `digest` identifies everything that makes two runs alike; `environment` holds clear values.
    `pin` is the node (name) that holds the volumes of this service; `files` are in its containers before they begin.
    """

    name: str
    app_id: str
    release: int
    service: Service
    replicas: int
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    digest: str = ""
    pin: str | None = None
    files: tuple[RunFile, ...] = ()


@dataclasses.dataclass(frozen=True)
class Replica:
    """One container of a run. `state`: pending, starting, running, unhealthy, exited, unknown (its node is silent).

    `endpoint` is `address:port` where the router reaches it (None: no port). `reason` says in words why it exited,
    or what a living one lacks; times are seconds of the epoch. `cpu` is a share of one core, `memory` and
    `memory_limit` are bytes (None where not asked for, not known, or without a limit). `image` is the digest of what
    its container was made of, as its node's engine has it: the same on all nodes, empty while there is no container.
    """

    id: str
    run: str
    service: str
    slot: int
    node: str
    state: str
    endpoint: str | None = None
    started_at: float | None = None
    reason: str = ""
    healthchecked: bool = False
    ended_at: float | None = None
    cpu: float | None = None
    memory: int | None = None
    memory_limit: int | None = None
    image: str = ""


@dataclasses.dataclass(frozen=True)
class RunSeen:
    """A run as the engine has it, with its living replicas and the newest failed ones.

    `group` is the name of the clustered group that it is a member of. `changed` tells that somebody changed by hand
    what it runs: starting it brings it back.
    """

    name: str
    app_id: str
    service: str
    release: int
    digest: str
    replicas: int
    tasks: tuple[Replica, ...] = ()
    group: str = ""
    changed: bool = False


@runtime_checkable
class FollowedLog(Protocol):
    """Followed lines, in the order of their times; endless until it is closed, from whichever thread."""

    def poll(self, timeout: float) -> list[LogLine]:
        """Return the lines that are due, waiting up to `timeout` seconds for the first."""

    def add(self, lines: Sequence[LogLine]) -> None:
        """Put lines from elsewhere in order with the containers' own."""

    def changed(self) -> bool:
        """Tell whether a container began, ended or was found ill or well since this was asked last."""

    def close(self) -> None:
        """End the reading."""


class Workloads(Protocol):
    """Runs services on a formed cluster."""

    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        """Return what runs for the application, with its replicas."""

    def glance(self, access: ClusterAccess, app_id: str, *, usage: bool = False) -> list[RunSeen]:
        """Return what `runs` does, for people: nodes that do not answer soon make replicas unknown, not an error.

        With `usage`, also what each replica uses of CPU and memory.
        """

    def fetch(self, access: ClusterAccess, images: Collection[str]) -> None:
        """Begin to bring images to the nodes, so that who starts something there waits less; never fails."""

    def start(self, access: ClusterAccess, run: Run) -> None:
        """Start the run (network and volumes included) or bring it to `run.replicas`."""

    def stop(self, access: ClusterAccess, name: str) -> None:
        """Stop and remove the run; volumes stay."""

    def replace(self, access: ClusterAccess, replica: Replica) -> None:
        """Stop a replica; its run starts another in its place."""

    def remove(self, access: ClusterAccess, app_id: str) -> None:
        """Remove all runs, networks and volumes of the application."""

    def wait(self, access: ClusterAccess, app_id: str, timeout: float) -> None:
        """Return when something changed for the application, or after `timeout` seconds."""

    def logs(
        self,
        access: ClusterAccess,
        app_id: str,
        *,
        follow: bool,
        tail: int | None = None,
        service: str | None = None,
        after: Checkpoint | None = None,
    ) -> Iterator[LogLine]:
        """Yield lines of all replicas in the order of their times; with `follow`, a FollowedLog.

        With `after`, all lines that are not passed there. A line older than one before it is marked late.
        """

    def tail(self, access: ClusterAccess, run: str, lines: int) -> str:
        """Return the last lines of the run's newest failed (else any) container."""
