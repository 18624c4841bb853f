# SPDX-License-Identifier: Apache-2.0
"""A build's log, written to the store while it grows, in few transactions."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from stackyard.store import Store

FLUSH_SECONDS = 0.1


class BuildLog:
    """Takes text by being called; writes it at most ten times a second, and the rest at the end."""

    def __init__(self, store: Store, build_id: str) -> None:
        self.store = store
        self.build_id = build_id
        self._pieces: list[str] = []
        self._flushed = time.monotonic()
        self._lock = threading.Lock()

    def __enter__(self) -> BuildLog:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left."""
        self.flush()

    def __call__(self, text: str) -> None:
        """Take a piece of output."""
        with self._lock:
            self._pieces.append(text)
            late = time.monotonic() - self._flushed > FLUSH_SECONDS
        if late:
            self.flush()

    def flush(self) -> None:
        """Write what was taken."""
        with self._lock:
            text, self._pieces, self._flushed = "".join(self._pieces), [], time.monotonic()
        if text:
            with self.store.saving() as tx:
                tx.builds.append_log(self.build_id, text)
