# SPDX-License-Identifier: Apache-2.0
"""Followed logs of four containers on three nodes, 250 lines a second each: lines out of order, and the added delay.

Each line holds the time at which the container wrote it; the delay is from then to the line's end on our side of
`stackyard logs -f`. The floor is `docker service logs -f` on the manager, for the same containers at the same time.
"""

from __future__ import annotations

import json
import pathlib
import shlex
import statistics
import subprocess
import threading
import time
from collections.abc import Callable

from tools.bench.figure import Figure
from tools.bench.platform import BIN, Platform

SECONDS = 20.0
CONTAINERS = 4
RATE = 250
ALLOWED_SECONDS = 0.3
PROGRAM = f"""
import sys, time
begun, number = time.time(), 0
while True:
    number += 1
    sys.stdout.write(f"bench {{time.time():.6f}}\\n")
    sys.stdout.flush()
    time.sleep(max(0.0, begun + number / {RATE} - time.time()))
"""

Sample = tuple[str, float, float]
"""The line's own order (the engine's time), when the container wrote it, when it arrived."""


def measure(platform: Platform) -> list[Figure]:
    platform.run("cluster", "create", "logs", "--nodes", "3")
    source = platform.folder / "talk"
    source.mkdir()
    (source / "requirements.txt").write_text("")
    (source / "talk.py").write_text(PROGRAM)
    (source / "Procfile").write_text("talk: python3 talk.py\n")
    platform.run("push", str(source), "--app", "talk", "--cluster", "logs")
    try:
        platform.run("scale", "talk", f"talk={CONTAINERS}")
        engine = _engine(platform)
        readers = [Reader(ours(), _our_line, platform.environment), Reader(_peer(engine), _peer_line, engine)]
        time.sleep(SECONDS)
        for reader in readers:
            reader.stop()
    finally:
        platform.run("destroy", "talk")
        platform.run("cluster", "delete", "logs")
    return figures(*(reader.samples for reader in readers))


def figures(samples: list[Sample], peer: list[Sample]) -> list[Figure]:
    wanted = (
        f"{len(samples)} lines of {CONTAINERS} x {RATE}/s, 3 nodes; peer: docker service logs -f ({len(peer)} lines)"
    )
    delays, peers = [ranked(each) for each in (samples, peer)]
    return [
        Figure("followed logs: lines out of order", "", [disorder(samples)], [disorder(peer)], wanted),
        Figure("followed logs: added delay p50", "s", [delays[49]], [peers[49]], "the peer does not wait for order"),
        Figure("followed logs: added delay p99", "s", [delays[98]], [peers[98]], f"allowed: {ALLOWED_SECONDS} s"),
    ]


def disorder(samples: list[Sample]) -> int:
    """Count the lines that are older than one shown before."""
    newest, count = "", 0
    for at, _, _ in samples:
        count += at < newest
        newest = max(newest, at)
    return count


def ranked(samples: list[Sample]) -> list[float]:
    delays = [arrived - written for _, written, arrived in samples]
    return statistics.quantiles(delays, n=100) if len(delays) > 1 else [float("nan")] * 99


def ours() -> list[str | pathlib.Path]:
    return [BIN / "stackyard", "logs", "talk", "-f", "--tail", "0", "--json"]


def _engine(platform: Platform) -> dict[str, str]:
    """Return the environment in which `docker` is the cluster's."""
    told = platform.run("cluster", "config", "logs")
    words = [shlex.split(line)[1] for line in told.splitlines() if line.startswith("export ")]
    return {**platform.environment, **dict(word.split("=", 1) for word in words)}


def _peer(environment: dict[str, str]) -> list[str | pathlib.Path]:
    listed = ["docker", "service", "ls", "-q"]
    found = subprocess.run(listed, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return ["docker", "service", "logs", "-f", "-t", "--tail", "0", "--raw", found[0]]


def _our_line(text: str) -> tuple[str, str]:
    line = json.loads(text)
    return line["at"], line["text"]


def _peer_line(text: str) -> tuple[str, str]:
    at, _, said = text.partition(" ")
    return at, said


class Reader:
    """A command that follows, and what came of it."""

    def __init__(
        self,
        command: list[str | pathlib.Path],
        split: Callable[[str], tuple[str, str]],
        environment: dict[str, str],
    ) -> None:
        self.samples: list[Sample] = []
        self._split = split
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._process.terminate()
        self._thread.join(10)

    def _read(self) -> None:
        assert self._process.stdout
        for text in self._process.stdout:
            arrived = time.time()
            at, said = self._split(text)
            if said.startswith("bench "):
                self.samples.append((at, float(said.split()[1]), arrived))
