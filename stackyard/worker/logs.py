# SPDX-License-Identifier: Apache-2.0
"""A build's log, written to the store while it grows, in few transactions."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from stackyard.model.masking import mask
from stackyard.store import Store

FLUSH_SECONDS = 0.1
LONGEST_LINE = 64 * 1024


class BuildLog:
    """Takes text by being called; writes it at most ten times a second, and the rest at the end.

    With values to be `hidden`, a line is held back until it is whole: only then can they be found in it.
    """

    def __init__(self, store: Store, build_id: str, hidden: Sequence[str] = ()) -> None:
        self.store = store
        self.build_id = build_id
        self.hidden = hidden
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
        self.flush(last=True)

    def __call__(self, text: str) -> None:
        """Take a piece of output."""
        with self._lock:
            self._pieces.append(text)
            late = time.monotonic() - self._flushed > FLUSH_SECONDS
        if late:
            self.flush()

    def flush(self, *, last: bool = False) -> None:
        """Write what was taken; `last` tells that nothing will follow."""
        with self._lock:
            text, self._flushed = "".join(self._pieces), time.monotonic()
            whole = text if last or not self.hidden else _whole_lines(text)
            self._pieces = [text[len(whole) :]] if len(whole) < len(text) else []
        if whole:
            with self.store.saving() as tx:
                tx.builds.append_log(self.build_id, mask(whole, self.hidden))


def _whole_lines(text: str) -> str:
    """Return the text without a last line that has no end yet; an endless line is not waited for."""
    return text[: text.rfind("\n") + 1] if len(text) < LONGEST_LINE else text
