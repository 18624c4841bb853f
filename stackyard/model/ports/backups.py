# SPDX-License-Identifier: Apache-2.0
"""Backups: where their content is kept, and how it gets into and out of an application's volumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from stackyard.model.ports.engines import ClusterAccess
from stackyard.model.ports.jobs import Stream


@dataclasses.dataclass(frozen=True)
class Kept:
    """What is kept: `size` bytes of content with this sha256 `digest`, which take `stored` bytes."""

    size: int
    stored: int
    digest: str


class Vault(Protocol):
    """Keeps the content of backups, sealed, by application and backup; never has one in memory as a whole."""

    def write(self, app_id: str, backup_id: str, content: Iterable[bytes]) -> Kept:
        """Keep content, whole or not at all; raises GiveUp where there is no room, and what `content` raises."""

    def read(self, app_id: str, backup_id: str) -> Iterator[bytes]:
        """Yield the content; raises GiveUp where it is gone, changed or cut off: only its end says that it is right."""

    def has(self, app_id: str, backup_id: str) -> bool:
        """Tell whether there is anything of it."""

    def delete(self, app_id: str, backup_id: str | None = None) -> None:
        """Forget one backup (None: all of the application's)."""


class Contents(Protocol):
    """Moves content between the platform and the volumes of containers that jobs made, which need not run."""

    def unload(self, access: ClusterAccess, node: str, job_id: str, folder: str) -> Iterator[bytes]:
        """Yield a tar archive of a folder of the container; raises Unavailable when it breaks off."""

    def load(self, access: ClusterAccess, node: str, job_id: str, content: Iterator[bytes]) -> None:
        """Unpack a tar archive at the container's top; raises GiveUp where it can't be, and what `content` raises."""

    def enter(self, access: ClusterAccess, node: str, job_id: str, command: Sequence[str]) -> Stream:
        """Begin a command in a job's container; raises NotFound when that does not run."""

    def forget(self, access: ClusterAccess, node: str, app_id: str, ending: str) -> None:
        """Remove those of the application's volumes whose names end so; none may be in use."""
