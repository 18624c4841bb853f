# SPDX-License-Identifier: Apache-2.0
"""How long something has been as it is, over many looks: what lasts too long is acted on, what passes is waited for.

Used by the nouns of the loop. Kept in the process only: after a restart, or when another process takes a row over,
waiting simply begins anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection

GAP_SECONDS = 60.0
"""What was not seen for so long was not looked at by us in between: it counts as new."""


class Patience:
    """The things that are not as they should be, each with the time of its first look and of its last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[tuple[str, str, str], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def lasting(self, kind: str, of: str, names: Collection[str], seconds: float) -> frozenset[str]:
        """Note that just these of an object's things are so now; return those that have been for `seconds`."""
        now = self._clock()
        with self._lock:
            before = self._times
            # Other objects' entries of long ago go too, so that nothing is kept for ever.
            kept = {key: span for key, span in before.items() if key[:2] != (kind, of) and now - span[1] < GAP_SECONDS}
            for name in names:
                first, last = before.get((kind, of, name), (now, now))
                kept[kind, of, name] = (first if now - last < GAP_SECONDS else now, now)
            self._times = kept
        return frozenset(name for name in names if now - kept[kind, of, name][0] >= seconds)
