# SPDX-License-Identifier: Apache-2.0
"""Idle memory of all processes of the platform: proportional set size, so that shared pages count once."""

from __future__ import annotations

import time

import psutil

from tools.bench.figure import Figure
from tools.bench.platform import INSTANCE, Platform


def measure(platform: Platform) -> list[Figure]:
    time.sleep(5)
    figures = [processes(part) for part in platform.json("status") if part["runs_as"].isdigit()]
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
