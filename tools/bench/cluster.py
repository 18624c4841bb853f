# SPDX-License-Identifier: Apache-2.0
"""Clusters by one request, against the same nodes by plain docker commands: made, and two nodes added."""

from __future__ import annotations

import time
from typing import Any

from tools.bench.figure import Figure
from tools.bench.plain import Swarm
from tools.bench.platform import Platform, until

ROUNDS = 3
SIZES = ((1, 0), (1, 2), (3, 2))
FLOOR = "floor: plain docker commands"
PAUSE = 0.05


def measure(platform: Platform) -> list[Figure]:
    prepare(platform)
    return [creation(platform, managers, workers) for managers, workers in SIZES]


def measure_resize(platform: Platform) -> list[Figure]:
    prepare(platform)
    ours, floor = [], []
    for number in range(ROUNDS):
        with Cluster(platform, f"grow-{number}", 1, 0) as cluster, Swarm(platform, 1, 1, 0, spare=2) as swarm:
            cluster.create()
            ours.append(cluster.resize(2))
            swarm.create()
            floor.append(swarm.grow())
    return [Figure("two nodes more", "s", ours, floor, FLOOR)]


def prepare(platform: Platform) -> None:
    """Make the template, and let the first cluster's extra work happen before anything is measured."""
    platform.run("cluster", "create", "warm-up", "--nodes", "0")
    platform.run("cluster", "delete", "warm-up", "--yes")


def creation(platform: Platform, managers: int, workers: int) -> Figure:
    ours, floor = [], []
    for number in range(ROUNDS):
        with Cluster(platform, f"bench-{number}", managers, workers) as cluster:
            ours.append(cluster.create())
        with Swarm(platform, 1, managers, workers) as swarm:
            floor.append(swarm.create())
    return Figure(f"cluster of {managers}+{workers} nodes", "s", ours, floor, FLOOR)


class Cluster:
    """A cluster of the platform's, deleted when the block ends."""

    def __init__(self, platform: Platform, name: str, managers: int, workers: int) -> None:
        self._platform = platform
        self.name = name
        counts = {"master_count": managers, "node_count": workers, "master_lb_enabled": managers > 1}
        self._path = ""
        self._wanted = {"name": name, "cluster_template_id": "swarm", **counts}

    def ask(self) -> None:
        """Send the request, and wait for nothing."""
        self._path = f"/clusters/{self._platform.clusters.post('/clusters', self._wanted)['uuid']}"

    def create(self) -> float:
        """Return the seconds from the request until the cluster is complete."""
        began = time.monotonic()
        self.ask()
        self.wait("CREATE_COMPLETE")
        return time.monotonic() - began

    def resize(self, nodes: int) -> float:
        """Return the seconds from the request until all nodes are there."""
        began = time.monotonic()
        self._platform.clusters.post(f"{self._path}/actions/resize", {"node_count": nodes})
        self.wait("UPDATE_COMPLETE")
        return time.monotonic() - began

    def show(self) -> Any:
        return self._platform.clusters.get(self._path)

    def wait(self, status: str) -> None:
        def look() -> bool:
            found = self.show()
            if found["status"].endswith("FAILED"):
                raise SystemExit(f"{self.name}: {found['status']}: {found['status_reason']}")
            return bool(found["status"] == status)

        until(look, pause=PAUSE)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        if self._path:
            self._platform.run("cluster", "delete", self.name, "--yes")
