# SPDX-License-Identifier: Apache-2.0
"""Idle memory of all processes of the platform: proportional set size, so that shared pages count once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping

import docker.errors
import psutil

from tools.bench.figure import Figure
from tools.bench.platform import INSTANCE, Platform


def measure(platform: Platform) -> list[Figure]:
    time.sleep(5)
    figures = [processes(part) for part in platform.parts()]
    figures += [
        container(each) for each in platform.engine.containers.list(filters={"label": f"stackyard.instance={INSTANCE}"})
    ]
    total = sum(each.ours[0] for each in figures)
    return [*figures, Figure("idle memory: all", "MB", [total])]


def processes(part: dict[str, str]) -> Figure:
    head = psutil.Process(int(part["runs_as"]))
    tree = [head, *head.children(recursive=True)]
    return Figure(f"idle memory: {part['part']}", "MB", [sum(pss(each) for each in tree)], (), f"{len(tree)} processes")


def pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 1e6


def container(each: object) -> Figure:
    top = each.top()  # type: ignore[attr-defined]
    pids = [int(row[top["Titles"].index("PID")]) for row in top["Processes"]]
    name = each.name  # type: ignore[attr-defined]
    return Figure(f"idle memory: container {name}", "MB", [sum(pss(psutil.Process(pid)) for pid in pids)])


# --- trees of processes that come and go while they are counted --------------------------------


def megabytes(roots: Iterable[psutil.Process]) -> float:
    """Return what the processes and all their children hold now."""
    counted: dict[int, float] = {}
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    counted[each.pid] = pss(each)
    return sum(counted.values())


class Shims:
    """The processes that hold the running containers which the Engine's filter finds; each is looked up once."""

    def __init__(self, platform: Platform, containers: Mapping[str, str]) -> None:
        self._api = platform.engine.api
        self._filter = dict(containers)
        self._known: dict[str, psutil.Process] = {}

    def __iter__(self) -> Iterator[psutil.Process]:
        for found in self._api.containers(filters=self._filter):
            with contextlib.suppress(docker.errors.NotFound, psutil.NoSuchProcess):
                yield self._known.get(found["Id"]) or self._look_up(found["Id"])

    def _look_up(self, container_id: str) -> psutil.Process:
        pid = self._api.inspect_container(container_id)["State"]["Pid"]
        shim = psutil.Process(pid).parent() if pid else None
        if shim is None:
            raise psutil.NoSuchProcess(pid)
        self._known[container_id] = shim
        return shim
