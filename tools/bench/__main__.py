# SPDX-License-Identifier: Apache-2.0
"""`make bench`: brings up a platform of its own, measures, prints a table, takes the platform down.

`python -m tools.bench [NAME …]` measures only what is named.
"""

from __future__ import annotations

import os
import sys
import tempfile

from rich.console import Console
from rich.table import Table

from tools.bench import api, cluster, healing, limits, logs, many, memory, openstack, push, rebase, serving
from tools.bench.platform import Platform

MEASURES = {
    "cluster": cluster.measure,
    "resize": cluster.measure_resize,
    "heal": healing.measure,
    "many": many.measure,
    "push": push.measure,
    "rebase": rebase.measure,
    "serving": serving.measure,
    "limits": limits.measure,
    "logs": logs.measure,
    "api": api.measure,
    "memory": memory.measure,
}
WHEN_NAMED = {"openstack": openstack.measure}
"""What takes many minutes of its own."""


def main(names: list[str]) -> None:
    measures = MEASURES | WHEN_NAMED
    unknown = set(names) - measures.keys()
    if unknown:
        sys.exit(f"error: unknown figure {', '.join(sorted(unknown))}; there are: {', '.join(measures)}")
    table = Table(
        "figure", "ours", "floor", "ratio", "note", title="Stackyard: medians, each beside its floor in the same run"
    )
    try:
        with tempfile.TemporaryDirectory(prefix="stackyard-bench-") as folder, Platform(folder) as platform:
            for name in names or MEASURES:
                print(f"measuring {name} …", file=sys.stderr, flush=True)
                for figure in measures[name](platform):
                    table.add_row(*figure.cells())
    finally:  # what was measured before something broke is told
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        Console(width=None if sys.stdout.isatty() else 160).print(
            table, f"{os.cpu_count()} cores; load averages at the end: {load}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
