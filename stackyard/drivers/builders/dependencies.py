# SPDX-License-Identifier: Apache-2.0
"""The order in which services start. Called by `compose`; raises only BadInput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackyard.model import errors


def in_order(depends_on: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all names, each after what it depends on, else as written; a cycle is named as a -> b -> a."""
    done: dict[str, None] = {}
    for name in depends_on:
        if name not in done:
            _visit(name, depends_on, done)
    return list(done)


def _visit(start: str, depends_on: Mapping[str, Sequence[str]], done: dict[str, None]) -> None:
    """Go down from one service without recursion: a chain may be long."""
    path: dict[str, int] = {start: 0}  # name -> how many of its dependencies have been followed
    while path:
        name, next_one = path.popitem()
        needed = depends_on[name]
        if next_one == len(needed):
            done[name] = None
            continue
        path[name] = next_one + 1
        other = needed[next_one]
        if other in path:
            cycle = [*list(path)[list(path).index(other) :], other]
            raise errors.BadInput(f"depends_on goes round in a circle: {' -> '.join(cycle)}; remove one of them")
        if other not in done:
            path[other] = 0
