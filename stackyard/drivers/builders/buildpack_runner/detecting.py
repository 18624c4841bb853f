# SPDX-License-Identifier: Apache-2.0
"""Which buildpacks take the application: those of the first group of an order that fit together. Called by `build`."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from .files import Failure, Table, read_toml, say, write
from .packs import APP, WORK, Pack, Surroundings
from .plan import Found, agree

NOT_FOR_THIS = 100

Group = Sequence[tuple[int, bool]]
"""Buildpacks by their numbers in the order in which they build, and whether each is optional."""


class Detection:
    """Asks each buildpack at most once, however many groups it is in."""

    def __init__(self, packs: Sequence[Pack], around: Surroundings) -> None:
        self._packs = packs
        self._around = around
        self._asked: dict[int, tuple[Table | None, str]] = {}

    def first(self, groups: Sequence[Group]) -> list[Found]:
        """Return what the first group that fits comes to; raises Failure that tells why none does."""
        reasons: list[str] = []
        for group in groups:
            try:
                return self._of_group(group)
            except Failure as failure:
                reasons.append(str(failure))
        if len(reasons) == 1:
            raise Failure(reasons[0])
        told = "; ".join(f"{number}: {reason}" for number, reason in enumerate(reasons, 1))
        raise Failure(f"none of the {len(groups)} groups of buildpacks is for this application ({told})")

    def _of_group(self, group: Group) -> list[Found]:
        found = []
        for number, optional in group:
            plan, reason = self._of_pack(number)
            if plan is not None:
                found.append(Found(number, plan, optional))
            elif not optional:
                raise Failure(reason)
        if not found:
            raise Failure("no buildpack says that it is for this application")
        return agree(found)

    def _of_pack(self, number: int) -> tuple[Table | None, str]:
        """Return the plan of a buildpack, or why it does not take the application."""
        if number not in self._asked:
            self._asked[number] = self._ask(self._packs[number], WORK / f"detected-{number}.toml")
        return self._asked[number]

    def _ask(self, pack: Pack, plan: pathlib.Path) -> tuple[Table | None, str]:
        say(f"===> Detecting with {pack.id}")
        write(plan, "")
        if pack.kind == "heroku":
            status = self._around.call(pack, "detect", str(APP))
        else:
            platform = str(self._around.platform)
            status = self._around.call(pack, "detect", platform, str(plan), CNB_BUILD_PLAN_PATH=str(plan))
        if status == NOT_FOR_THIS or (status and pack.kind == "heroku"):
            return None, f"buildpack {pack.id} says that it is not for this application"
        if status:
            return None, f"bin/detect of buildpack {pack.id} ended with {status}"
        return read_toml(plan), ""
