# SPDX-License-Identifier: Apache-2.0
"""Logs: lines that are kept when their containers are gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from stackyard.model.logs import Checkpoint, LogLine


class LogKeeper(Protocol):
    """The one who keeps an application's lines now; `state` is how far they go."""

    @property
    def state(self) -> Checkpoint:
        """Return how far the kept lines go."""

    def write(self, lines: Sequence[LogLine]) -> None:
        """Keep lines behind all others; raises Unavailable when the disk is full, NotFound when all was deleted.

        To be called without lines now and then, where none come: what is too old goes then.
        """

    def handed_in(self) -> list[LogLine]:
        """Return what other processes handed in since the last time."""

    def close(self) -> None:
        """Let others keep."""


class LogStore(Protocol):
    """Keeps the lines of applications, in the order in which they were let through; `app_id` is a workload's id."""

    def append(self, app_id: str, lines: Sequence[LogLine]) -> None:
        """Hand lines in, from any process: the keeper puts them in order with the containers' own.

        The times of one `source` (by default the service's name) must not go back: each writer has one of its own.
        Raises Unavailable when the disk is full, or when too much waits for a keeper.
        """

    def keeper(self, app_id: str) -> LogKeeper:
        """Become the one who keeps; raises Conflict while another process is, Unavailable when the disk is full."""

    def kept(self, app_id: str) -> bool:
        """Tell whether somebody keeps the lines now."""

    def state(self, app_id: str, position: int | None = None) -> Checkpoint:
        """Return how far the kept lines go, or went up to a position."""

    def read(self, app_id: str, after: int = 0, since: str = "") -> Iterator[tuple[int, LogLine]]:
        """Yield lines behind a position, each with the position behind it; those older than `since` may be left out."""

    def newest(self, app_id: str, count: int, wanted: Callable[[LogLine], bool]) -> list[tuple[int, LogLine]]:
        """Return the last lines that are wanted, oldest first."""

    def delete(self, app_id: str) -> None:
        """Forget an application's lines."""

    def ids(self) -> list[str]:
        """Return the applications of which there is anything."""
