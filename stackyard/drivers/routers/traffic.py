# SPDX-License-Identifier: Apache-2.0
"""How much applications are asked, how often they fail and how long they take: counted by the reader of access lines.

Counts are kept by second for a little while, in a file that `HAProxyRouter` reads; requests wait for none of it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.model.ports import Traffic

FILE = "traffic.json"
WINDOW_SECONDS = 10
WRITE_SECONDS = 0.5
UPGRADED = 101
"""Status of what goes on as a WebSocket: how long it lasts is not how long the application takes."""

Second = dict[str, Any]


class Counters:
    """Counts of the last seconds by workload; written to `folder` at most every half second."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._path = folder / FILE
        self._seconds: dict[str, dict[int, Second]] = {}
        self._written = 0.0
        self.dirty = False

    def count(self, workload: str, entry: Mapping[str, Any]) -> None:
        """Count an access line (`at` in µs of the epoch, `status`, `ms`)."""
        number, status = int(entry["at"]) // 1_000_000, int(entry["status"])
        seconds = self._seconds.setdefault(workload, {})
        second = seconds.setdefault(number, {"requests": 0, "errors": 0, "ms": collections.Counter()})
        second["requests"] += 1
        second["errors"] += status >= 500
        if status != UPGRADED:
            second["ms"][rounded(max(0, int(entry["ms"])))] += 1
        self.dirty = True

    def write(self, now: float) -> None:
        """Write what is known of the last seconds, unless that was done just now; what is older is forgotten."""
        if not self.dirty or 0 <= now - self._written < WRITE_SECONDS:
            return
        oldest = int(now) - WINDOW_SECONDS - 1
        kept = {name: _since(seconds, oldest) for name, seconds in self._seconds.items()}
        self._seconds = {name: seconds for name, seconds in kept.items() if seconds}
        partial = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not cost lines
            partial.write_text(json.dumps(self._seconds))
            partial.replace(self._path)
        self._written, self.dirty = now, False


def read(folder: pathlib.Path, workload: str, now: float | None = None) -> Traffic:
    """Return what a workload was asked in the last whole seconds; nothing where nobody counts."""
    until = int(time.time() if now is None else now)
    try:
        seconds = json.loads((folder / FILE).read_text()).get(workload, {})
    except (OSError, ValueError):
        return Traffic()
    found = [second for number, second in seconds.items() if until - WINDOW_SECONDS <= int(number) < until]
    times: collections.Counter[int] = collections.Counter()
    for second in found:
        times.update({int(ms): count for ms, count in second["ms"].items()})
    return Traffic(
        requests=sum(second["requests"] for second in found) / WINDOW_SECONDS,
        errors=sum(second["errors"] for second in found) / WINDOW_SECONDS,
        p50=percentile(sorted(times.items()), 0.5),
        p99=percentile(sorted(times.items()), 0.99),
    )


def percentile(counts: Sequence[tuple[int, int]], share: float) -> int | None:
    """Return the smallest value that this share of all are not above (nearest rank); None where there is none."""
    left = share * sum(count for _, count in counts)
    for value, count in counts:
        left -= count
        if left <= 1e-9:
            return value
    return None


def rounded(ms: int) -> int:
    """Return a time with two digits that count, so that there are few different ones."""
    unit = int(10 ** max(0, len(str(ms)) - 2))
    return ms // unit * unit


def _since(seconds: Mapping[int, Second], oldest: int) -> dict[int, Second]:
    return {number: second for number, second in seconds.items() if number >= oldest}
