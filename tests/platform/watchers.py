# SPDX-License-Identifier: Apache-2.0
"""A thread that goes on looking at something while a test does something else. Used by the tests of clusters."""

from __future__ import annotations

import abc
import threading
from typing import Self


class Watcher(threading.Thread, abc.ABC):
    """Looks each `pause` seconds for as long as the block runs."""

    def __init__(self, pause: float) -> None:
        super().__init__(daemon=True)
        self._pause = pause
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(self._pause):
            self.look()

    @abc.abstractmethod
    def look(self) -> None:
        """Look once."""
