# SPDX-License-Identifier: Apache-2.0
"""A look at an application for people: what runs, with what it uses; nodes that do not answer in time are unknown.

Used by `swarm.py`. The worker's own look is another one (`reach.py`), for which silence is an error. Asks all nodes
at once; keeps nothing but the last reading of each container's clock of CPU time.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from stackyard.drivers.workloads import observe, placement, spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.drivers.workloads.observe import Container
from stackyard.drivers.workloads.reach import Reach
from stackyard.drivers.workloads.resources import listed
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, NodeAccess, Replica, RunSeen

LIST_SECONDS = 8.0
"""What a node may take to tell its containers: one that is silent for longer is called so."""
SECONDS = 4.0
"""What it may then take to tell what they use: twice its engine's turn, which comes every second."""
AT_ONCE = 16
"""Readings asked of one node at a time; one after the other each would wait for the engine's next turn."""
APART = 0.4
"""Seconds between two readings of a container that was not read lately."""
FRESH = 10.0
KEPT = 4096

Judge = Callable[[str, Sequence[Container]], list[Container]]
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Reading:
    """A container's own count at a moment: CPU time in seconds since its start, memory in bytes."""

    at: float
    cpu: float
    memory: int


@dataclasses.dataclass(frozen=True)
class Used:
    """What a container uses: a share of one core (None: not known yet), bytes of memory."""

    cpu: float | None
    memory: int


@dataclasses.dataclass(frozen=True)
class Told:
    """What the nodes' managers tell."""

    services: Sequence[Row] = ()
    tasks: Sequence[Row] = ()
    members: Sequence[Row] = ()


class Glances:
    """Looks that never wait long."""

    def __init__(self, reach: Reach, judge: Judge) -> None:
        self._reach = reach
        self._judge = judge
        self._last: dict[str, Reading] = {}
        self._lock = threading.Lock()

    def of(self, access: ClusterAccess, app_id: str, *, usage: bool) -> list[RunSeen]:
        """Return what runs, and with `usage` what each replica uses; raises Unavailable when no manager answers."""
        filters = labelled(f"{spec.APP}={app_id}", spec.SWARM_SERVICE)
        pool = ThreadPoolExecutor(len(access.nodes) + 1, "glance")
        try:
            told = pool.submit(self._manager, access, labelled(f"{spec.APP}={app_id}"))
            answers = {node: pool.submit(listed, NodeEngine(node), filters) for node in access.nodes}
            asked: list[Future[Any]] = [told, *answers.values()]
            wait(asked, LIST_SECONDS)
            heard = {node: each.result() for node, each in answers.items() if _answered(each)}
            figures = {node: pool.submit(self._usage, NodeEngine(node), heard[node]) for node in heard if usage}
            wait(figures.values(), SECONDS)
            used = [each.result() for each in figures.values() if _answered(each)]
            return self._put_together(app_id, _manager(told), access, heard, dict(ChainMap({}, *used)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _manager(self, access: ClusterAccess, filters: str) -> Told:
        def ask(engine: NodeEngine) -> Told:
            services, tasks = engine.get("/services", filters=filters), engine.get("/tasks", filters=filters)
            return Told(services, tasks, engine.get("/nodes"))

        return self._reach.manager(access, ask)

    def _put_together(
        self,
        app_id: str,
        told: Told,
        access: ClusterAccess,
        heard: Mapping[NodeAccess, list[Container]],
        used: Mapping[str, Used],
    ) -> list[RunSeen]:
        containers = [each for found in heard.values() for each in found]
        silent = {node.name for node in access.nodes if node not in heard}
        lost = placement.down(told.members)
        quiet = {each["ID"]: name for each in told.members if (name := each["Description"]["Hostname"]) in silent}
        runs = observe.runs(told.services, told.tasks, self._judge(app_id, containers), {**lost, **quiet}, time.time())
        of_task = {each.task: used[each.listed["Id"]] for each in containers if each.listed["Id"] in used}
        limits = {each["ID"]: _limit(each) for each in told.tasks}
        unknown = set(quiet.values()) - set(lost.values())
        return [
            dataclasses.replace(run, tasks=tuple(_filled(task, of_task, limits, unknown) for task in run.tasks))
            for run in runs
        ]

    def _usage(self, engine: NodeEngine, containers: Sequence[Container]) -> dict[str, Used]:
        """Return what each running container uses, by id; those not read lately are read twice."""
        running = [each.listed["Id"] for each in containers if each.listed["State"] == "running"]
        first = {ident: known for ident in running if (known := self._lately(ident))}
        unread = [ident for ident in running if ident not in first]
        if unread:
            began = time.monotonic()
            first |= _read_all(engine, unread)
            time.sleep(max(0.0, APART - (time.monotonic() - began)))
        now = _read_all(engine, running)
        with self._lock:
            self._last |= now
            while len(self._last) > KEPT:
                del self._last[next(iter(self._last))]
        return {ident: Used(_share(first.get(ident), read), read.memory) for ident, read in now.items()}

    def _lately(self, ident: str) -> Reading | None:
        with self._lock:
            known = self._last.get(ident)
        return known if known and APART <= time.time() - known.at <= FRESH else None


def _manager(told: Future[Told]) -> Told:
    if not told.done():
        raise errors.Unavailable("the cluster's managers do not answer")
    return told.result()


def _answered(answer: Future[Any]) -> bool:
    return answer.done() and not answer.cancelled() and answer.exception() is None


def _read_all(engine: NodeEngine, containers: Sequence[str]) -> dict[str, Reading]:
    with ThreadPoolExecutor(AT_ONCE, "stats") as pool:
        read = dict(zip(containers, pool.map(lambda ident: _read(engine, ident), containers), strict=True))
    return {ident: reading for ident, reading in read.items() if reading}


def _read(engine: NodeEngine, container: str) -> Reading | None:
    """Return a container's counts; None when it runs no longer."""
    try:
        stats = engine.get(f"/containers/{container}/stats", **{"stream": "false", "one-shot": "true"})
    except errors.StackyardError:
        return None
    return reading(stats)


def reading(stats: Row) -> Reading | None:
    """Return what an engine's statistics say; page cache that can be given back is not counted as memory."""
    at, memory = observe.moment(str(stats.get("read", ""))), stats.get("memory_stats") or {}
    if at is None or "usage" not in memory:
        return None
    detail = memory.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return Reading(at, stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, max(0, memory["usage"] - cache))


def _share(first: Reading | None, second: Reading) -> float | None:
    if first is None or second.at <= first.at:
        return None
    return max(0.0, round((second.cpu - first.cpu) / (second.at - first.at), 4))


def _limit(task: Row) -> int | None:
    limits = (task.get("Spec", {}).get("Resources") or {}).get("Limits") or {}
    return limits.get("MemoryBytes") or None


def _filled(task: Replica, used: Mapping[str, Used], limits: Mapping[str, int | None], unknown: set[str]) -> Replica:
    """Return a replica with its figures, and as unknown where its node is silent but not known to be down."""
    if task.node in unknown and task.state != "exited":
        return dataclasses.replace(task, state="unknown", reason=f"node {task.node} does not answer")
    found = used.get(task.id)
    return dataclasses.replace(
        task,
        cpu=found.cpu if found else None,
        memory=found.memory if found else None,
        memory_limit=limits.get(task.id),
    )
