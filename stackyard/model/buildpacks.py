# SPDX-License-Identifier: Apache-2.0
"""Third-party buildpacks as users name them: git URLs in the order in which they build. Pure rules.

Asked by intents (what an application has chosen) and by builders (what a source tree says).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.model import errors
from stackyard.model.sources import check_repository, check_revision, without_password

MAX_BUILDPACKS = 10


@dataclasses.dataclass(frozen=True)
class Named:
    """A buildpack as users name it: a git URL with `#revision` or without."""

    url: str
    revision: str = ""

    def __str__(self) -> str:
        return without_password(self.url) + (f"#{self.revision}" if self.revision else "")


def parse(text: str, where: str) -> Named:
    """Return a named buildpack; raises BadInput."""
    url, _, revision = text.strip().partition("#")
    try:
        check_repository(url)
        check_revision(revision)
    except errors.BadInput as error:
        raise errors.BadInput(f"{where}: a buildpack is a git URL, with #REVISION where wanted; {error}") from None
    return Named(url, revision)


def names(asked: Sequence[str], where: str) -> tuple[str, ...]:
    """Return buildpacks as they are kept, each checked; raises BadInput."""
    if not 1 <= len(asked) <= MAX_BUILDPACKS:
        raise errors.BadInput(f"{where}: name 1 to {MAX_BUILDPACKS} buildpacks, in the order in which they build")
    for each in asked:
        parse(each, where)
    return tuple(each.strip() for each in asked)


def shown(named: Sequence[str]) -> tuple[str, ...]:
    """Return buildpacks fit to be shown: without passwords."""
    return tuple(str(parse(each, "buildpacks")) for each in named)
