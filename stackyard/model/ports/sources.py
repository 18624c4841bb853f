# SPDX-License-Identifier: Apache-2.0
"""Sources: archives and git repositories that code comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

Log = Callable[[str], None]
"""Takes pieces of a build's output as they appear; a piece may hold several lines."""


class Sources(Protocol):
    """Keeps source archives (gzip'd tars) by digest, and fetches git repositories into them."""

    def put(self, stream: BinaryIO, limit: int) -> str:
        """Store an archive; return its sha256; raises TooLarge beyond `limit` bytes, BadInput when it is none."""

    def fetch(self, repository: str, revision: str, log: Log) -> tuple[str, str]:
        """Clone and store a revision; return (digest, commit); raises GiveUp with git's own words."""

    def exists(self, digest: str) -> bool:
        """Tell whether the archive is kept."""

    def unpack(self, digest: str, folder: str) -> None:
        """Write the archive's tree into an empty folder; refuses what would leave it (GiveUp)."""

    def delete(self, digest: str) -> None:
        """Forget the archive."""


@dataclasses.dataclass(frozen=True)
class RefUpdate:
    """What a `git push` wants of one ref: to lead from commit `old` to `new` (empty: there is none)."""

    ref: str
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A `git push` that has arrived but is not accepted: `archive(commit, log)` stores a commit's tree by digest.

    `terminal` tells whether a person watches; `tell` writes one line to the client.
    """

    updates: tuple[RefUpdate, ...]
    terminal: bool
    archive: Callable[[str, Log], str]
    tell: Log


class GitRepositories(Protocol):
    """Keeps bare git repositories that members push to: APP_ID of each application, APP_ID.ID of an environment."""

    def advertise(self, app_id: str, service: str, protocol: str) -> bytes:
        """Return the refs in the words of a service (upload-pack or receive-pack); makes the repository at first."""

    def receive(self, app_id: str, body: BinaryIO, judge: Callable[[Pushed], bool]) -> Iterator[bytes]:
        """Take a push, and yield git's answer; refs are changed only if `judge` says yes.

        `judge` runs in a thread of its own, to its end even where the client has gone. Raises BadInput, TooLarge.
        """

    def serve(self, app_id: str, body: BinaryIO, protocol: str) -> Iterator[bytes]:
        """Yield git's answer to a fetch."""

    def delete(self, app_id: str) -> None:
        """Forget the repository; of an application those of its environments too."""
