# SPDX-License-Identifier: Apache-2.0
"""The submodules of a commit, and theirs: each fetched at its commit, into repositories beside each other.

Called by `git` and `repositories`. Which addresses and transports may be used is judged for each as for the first.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable

from stackyard.drivers.sources.git_command import Git
from stackyard.drivers.sources.trees import Link, Part, links
from stackyard.model import errors
from stackyard.model.ports import Log
from stackyard.model.sources import check_repository, without_password

MAX_DEPTH = 8
MAX_MODULES = 100

Fetch = Callable[[pathlib.Path, str, str], Git]
"""Fetches a commit of a repository into a new folder."""


@dataclasses.dataclass
class Gathering:
    """All that belongs to one commit; `parts` are what was gathered, the commit itself first."""

    folder: pathlib.Path
    fetch: Fetch
    log: Log
    parts: list[Part] = dataclasses.field(default_factory=list)

    def add(self, part: Part, url: str, chain: tuple[tuple[str, str], ...] = ()) -> None:
        """Gather a commit and its submodules; `url` is where it came from, `chain` what led here."""
        self.parts.append(part)
        chain = (*chain, (url, part.commit))
        for link in links(part):
            if link.url:
                self._follow(part, link, url, chain)
            else:
                where = part.prefix + link.path
                self.log(f"note: {where!r} is a repository that .gitmodules does not name; it stays empty\n")

    def _follow(self, part: Part, link: Link, base: str, chain: tuple[tuple[str, str], ...]) -> None:
        where = part.prefix + link.path
        url = absolute(base, link.url, where)
        if any(before == url for before, _ in chain):
            raise errors.GiveUp(f"submodule {where!r} leads back to {without_password(url)}, which it is part of")
        if len(chain) >= MAX_DEPTH or len(self.parts) > MAX_MODULES:
            raise errors.GiveUp(
                f"submodule {where!r} is one too many: {MAX_MODULES}, {MAX_DEPTH} deep, is the limit; commit its files"
            )
        began = time.monotonic()
        try:
            git = self.fetch(self.folder / f"module-{len(self.parts)}", url, link.commit)
        except errors.GiveUp as error:
            raise errors.GiveUp(f"submodule {where!r}: {error}") from error
        spent = time.monotonic() - began
        self.log(f"Submodule {where!r} {link.commit[:7]} of {without_password(url)} ({spent:.1f} s)\n")
        self.add(Part(git, link.commit, f"{where}/"), url, chain)


def absolute(base: str, url: str, where: str) -> str:
    """Return a submodule's URL, which may be relative to its parent's; raises GiveUp where it may not be used."""
    if url.startswith(("./", "../")):
        if not base:
            raise errors.GiveUp(
                f"submodule {where!r} is at {url!r}, relative to a repository that was pushed here; name its whole URL"
                " in .gitmodules"
            )
        url = _joined(base, url)
    try:
        check_repository(url)
    except errors.BadInput as error:
        raise errors.GiveUp(f"submodule {where!r}: {error}") from error
    return url


def _joined(base: str, url: str) -> str:
    """Join as git does: each `../` takes the last part of the parent's URL away."""
    base = base.rstrip("/")
    while True:
        if url.startswith("./"):
            url = url[2:]
        elif url.startswith("../"):
            base, url = _parent(base), url[3:]
        else:
            return f"{base}/{url}" if not base.endswith(":") else f"{base}{url}"


def _parent(base: str) -> str:
    scheme, mark, rest = base.rpartition("://")
    if "/" in rest:
        return f"{scheme}{mark}{rest.rpartition('/')[0]}"
    return f"{rest.partition(':')[0]}:" if not mark and ":" in rest else base
