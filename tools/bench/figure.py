# SPDX-License-Identifier: Apache-2.0
"""One line of the table."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Figure:
    """What was measured, ours and the floor's samples (none: no floor), in `unit`."""

    name: str
    unit: str
    ours: Sequence[float]
    floor: Sequence[float] = ()
    note: str = ""

    def cells(self) -> tuple[str, str, str, str, str]:
        ours, floor = self._text(self.ours), self._text(self.floor)
        ratio = f"{statistics.median(self.ours) / statistics.median(self.floor):.2f}" if self.floor else ""
        return self.name, ours, floor, ratio, self.note

    def _text(self, samples: Sequence[float]) -> str:
        if not samples:
            return "–"
        middle = f"{statistics.median(samples):.4g} {self.unit}"
        return f"{middle} ({min(samples):.3g}–{max(samples):.3g})" if len(samples) > 1 else middle
