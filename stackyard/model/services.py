# SPDX-License-Identifier: Apache-2.0
"""The platform's own services: who has reported lately that it is at work."""

from __future__ import annotations

import dataclasses
import datetime

BEAT_SECONDS = 10.0
DOWN_SECONDS = 60.0
WORKER = "magnum-conductor"
"""What clients of Magnum know the worker as."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """The workers of one host. `report_count` grows with each beat; `updated_at` is the last one's time."""

    id: int
    host: str
    binary: str = WORKER
    report_count: int = 0
    created_at: datetime.datetime
    updated_at: datetime.datetime | None = None

    def silent(self, now: datetime.datetime) -> float:
        """Return the seconds since the last beat."""
        return (now - (self.updated_at or self.created_at)).total_seconds()

    def up(self, now: datetime.datetime) -> bool:
        """Tell whether it was heard of lately."""
        return self.silent(now) <= DOWN_SECONDS
