# SPDX-License-Identifier: Apache-2.0
"""The build plan: which of the buildpacks that take the application fit together, by what they provide and require.

Called by `build`; the words are those of the Cloud Native Buildpack API. Pure.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

from .files import Failure, Table

MAX_TRIALS = 10_000


@dataclasses.dataclass(frozen=True)
class Found:
    """A buildpack (by its number) that takes the application, and the plan that it wrote; an optional one may go."""

    pack: int
    plan: Table
    optional: bool = False

    def options(self) -> list[Found]:
        """Return it with each of the alternatives that its plan offers."""
        return [dataclasses.replace(self, plan=each) for each in (self.plan, *self.plan.get("or", []))]


def agree(detected: Sequence[Found]) -> list[Found]:
    """Return the buildpacks, each with the option of its plan, that fit together; raises Failure."""
    options = [found.options() for found in detected]
    if math.prod(len(each) for each in options) > MAX_TRIALS:
        raise Failure("the buildpacks offer too many alternatives in their plans")
    complaint = ""
    for trial in itertools.product(*options):
        group, wrong = _without_idle(list(trial))
        if not wrong:
            return group
        complaint = complaint or wrong
    raise Failure(complaint)


def _without_idle(group: list[Found]) -> tuple[list[Found], str]:
    """Return a group without those optional ones that don't fit, and what is wrong with the rest."""
    while True:
        at, wrong = misfit(group)
        if not wrong:
            return group, "" if group else "no buildpack is left that has anything to do"
        if not group[at].optional:
            return group, wrong
        del group[at]


def misfit(group: Sequence[Found]) -> tuple[int, str]:
    """Return which of these does not fit and why: all required is provided before or there, all provided required."""
    provided: set[str] = set()
    for at, each in enumerate(group):
        provided |= names(each.plan, "provides")
        missing = names(each.plan, "requires") - provided
        if missing:
            return at, f"{_listed(missing)} is required by a buildpack, and none before it provides it"
    required: set[str] = set()
    for at, each in reversed(list(enumerate(group))):
        required |= names(each.plan, "requires")
        idle = names(each.plan, "provides") - required
        if idle:
            return at, f"{_listed(idle)} is provided by a buildpack, and none after it requires it"
    return 0, ""


def names(plan: Mapping[str, object], key: str) -> set[str]:
    """Return what a plan provides, requires or leaves unmet."""
    entries = plan.get(key, [])
    return {str(entry.get("name", "")) for entry in entries} if isinstance(entries, list) else set()


def _listed(words: set[str]) -> str:
    return ", ".join(sorted(words))
