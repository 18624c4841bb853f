# SPDX-License-Identifier: Apache-2.0
"""How soon rows are made due by what happens outside: at once, but each at most every second.

Used by those threads of a worker that follow events of machines and of containers; each has one of its own.
"""

from __future__ import annotations

import time

SECONDS = 1.0


class Spacing:
    """When each row may be looked at next. Remembers only what is still to be waited for."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def next(self, ident: str) -> float:
        """Return when a row of which something was heard is to be looked at (Unix time)."""
        now = time.time()
        self._last = {known: at for known, at in self._last.items() if at > now - SECONDS}
        last = self._last.get(ident, 0.0)
        self._last[ident] = last if last > now else max(now, last + SECONDS)
        return self._last[ident]
