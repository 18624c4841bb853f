# SPDX-License-Identifier: Apache-2.0
"""What is known of tokens for a minute, in the process's memory. Used by `pipeline` and `trusted`."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any

CACHE_SECONDS = 60


class TokenCache:
    """Validated tokens of the last minute, in the process's memory: what keystonemiddleware wants of a cache.

    A revoked token may pass for `CACHE_SECONDS` more, as with any cache that Keystone's middleware has.
    """

    def __init__(self, entries: int = 2000) -> None:
        self._entries = entries
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def get(self, key: str) -> Any:
        """Return what is kept under a key (already a hash of the token), or None."""
        with self._lock:
            until, value = self._kept.get(key, (0.0, None))
        return value if until > time.monotonic() else None

    def set(self, key: str, value: Any, time: float = CACHE_SECONDS) -> None:
        """Keep a value for `time` seconds; the oldest one goes when there are too many."""
        with self._lock:
            self._kept[key] = (_now() + time, value)
            self._kept.move_to_end(key)
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)


def _now() -> float:
    return time.monotonic()
