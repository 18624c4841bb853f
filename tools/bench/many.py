# SPDX-License-Identifier: Apache-2.0
"""Twenty clusters at once: how long, and the most memory that everything took meanwhile.

The floor is twenty single-node swarms by plain docker commands, made at the same time. Memory is the proportional
set size of all processes: those of the nodes, and for ours those of the platform too.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import psutil

from tools.bench.cluster import PAUSE, Cluster, prepare
from tools.bench.figure import Figure
from tools.bench.memory import Shims, megabytes
from tools.bench.plain import PREFIX, Swarm
from tools.bench.platform import INSTANCE, Platform, until

CLUSTERS = 20
SAMPLE_SECONDS = 1.0
FLOOR = f"floor: plain docker commands, {CLUSTERS} at a time"

OURS = {"label": f"stackyard.instance={INSTANCE}"}


def measure(platform: Platform) -> list[Figure]:
    prepare(platform)
    made, gone, ours = clusters(platform)
    plain_made, plain_gone, plain = swarms(platform)
    idle = megabytes([*platform.heads(), *Shims(platform, OURS)])
    note = f"nodes and platform; the platform alone, idle again: {idle:.0f} MB; floor: nodes alone"
    return [
        Figure(f"{CLUSTERS} clusters at once: made", "s", [made], [plain_made], FLOOR),
        Figure(f"{CLUSTERS} clusters at once: deleted", "s", [gone], [plain_gone], FLOOR),
        Figure(f"{CLUSTERS} clusters at once: peak memory", "MB", [ours], [plain], note),
    ]


def clusters(platform: Platform) -> tuple[float, float, float]:
    """Return seconds to make them, seconds to delete them, and the peak in MB."""
    wanted = [Cluster(platform, f"many-{number}", 1, 0) for number in range(CLUSTERS)]

    heads, shims = platform.heads(), Shims(platform, OURS)
    with peak(lambda: [*heads, *shims]) as most:
        began = time.monotonic()
        for each in wanted:
            each.ask()
        for each in wanted:
            each.wait("CREATE_COMPLETE")
        made = time.monotonic() - began
    began = time.monotonic()
    for each in wanted:
        platform.clusters.delete(f"/clusters/{each.name}")
    until(lambda: not platform.clusters.get("/clusters")["clusters"], pause=PAUSE)
    return made, time.monotonic() - began, most()


def swarms(platform: Platform) -> tuple[float, float, float]:
    """Return the same for plain docker."""
    wanted = [Swarm(platform, number, 1, 0) for number in range(CLUSTERS)]
    shims = Shims(platform, {"name": PREFIX})
    with concurrent.futures.ThreadPoolExecutor(CLUSTERS) as pool:
        try:
            with peak(lambda: shims) as most:
                began = time.monotonic()
                list(pool.map(Swarm.create, wanted))
                made = time.monotonic() - began
        finally:
            began = time.monotonic()
            list(pool.map(Swarm.remove, wanted))
    return made, time.monotonic() - began, most()


@contextlib.contextmanager
def peak(roots: Callable[[], Iterable[psutil.Process]]) -> Iterator[Callable[[], float]]:
    """Sample the memory while the block runs; yields what tells the most in MB."""
    over, samples = threading.Event(), [0.0]

    def sample() -> None:
        while not over.wait(SAMPLE_SECONDS):
            samples.append(megabytes(roots()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield lambda: max(samples)
    finally:
        over.set()
        thread.join()
