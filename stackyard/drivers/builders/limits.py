# SPDX-License-Identifier: Apache-2.0
"""What one build may take. Given by the composition root; used wherever something of a tenant runs."""

from __future__ import annotations

import dataclasses
from typing import Any

_PERIOD = 100_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """Seconds in all, cores, bytes of memory, processes, characters of output kept, bytes of what a step makes.

    `shares` is the weight against running applications (each 1024) where cores are short. A source tree may have
    `tree_files` files of `tree_bytes` together.
    """

    seconds: float = 1800.0
    cpus: float = 2.0
    memory_bytes: int = 2 * 1024**3
    pids: int = 1024
    shares: int = 256
    output: int = 10 * 1024 * 1024
    layer_bytes: int = 2 * 1024**3

    def of_container(self) -> dict[str, Any]:
        """Return the limits in the words of a container's host configuration."""
        return {
            "mem_limit": self.memory_bytes,
            "memswap_limit": self.memory_bytes,
            "nano_cpus": int(self.cpus * 1e9),
            "cpu_shares": self.shares,
            "pids_limit": self.pids,
        }

    def of_build(self) -> dict[str, int]:
        """Return those that the engine's own builder has words for."""
        return {
            "memory": self.memory_bytes,
            "memswap": self.memory_bytes,
            "cpuperiod": _PERIOD,
            "cpuquota": int(_PERIOD * self.cpus),
            "cpushares": self.shares,
        }
