# SPDX-License-Identifier: Apache-2.0
"""Language packs: which one a source tree is for, and the plan that it makes. Called by `detect` and `tenant`.

Each pack is a file with NAME, MARKERS (files that say so), SOURCES (files that say so where no marker of any pack
is there) and `plan`. They read; what they say is done by `executor`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from stackyard.drivers.builders import procfile
from stackyard.drivers.builders.packs import go, java, nodejs, php, python, ruby, static
from stackyard.drivers.builders.plans import Plan, Process
from stackyard.drivers.builders.trees import Tree


class Pack(Protocol):
    """What the files of this package have in common."""

    @property
    def NAME(self) -> str:  # noqa: N802  (a constant of the module)
        """Return the language's name."""

    @property
    def MARKERS(self) -> tuple[str, ...]:  # noqa: N802
        """Return the files that say that a tree is of this language."""

    @property
    def SOURCES(self) -> tuple[str, ...]:  # noqa: N802
        """Return the files that say so where there is no marker of any language."""

    def plan(self, tree: Tree, found: str) -> Plan:
        """Return the plan for a tree with this marker or source; raises BadInput."""


# Where a tree is for several, the first is taken: the others most often only make files for it.
PACKS: Sequence[Pack] = (python, ruby, php, go, java, nodejs, static)


def plan(tree: Tree) -> Plan | None:
    """Return the plan of the pack that the tree is for, None where it is for none; raises BadInput."""
    found = _found(tree)
    if not found:
        return None
    pack, marker = found[0]
    made = pack.plan(tree, marker)
    notes = [f"{other.NAME} is there too ({name}): {pack.NAME} goes before it" for other, name in found[1:]]
    if tree.has("Procfile"):
        made = dataclasses.replace(made, processes=named(tree))
        if not made.process("web"):
            notes.append("Procfile has no web process, so nothing is routed to it")
    return dataclasses.replace(made, notes=(*made.notes, *notes))


def markers() -> str:
    """Return in words what is looked for."""
    return "; ".join(f"{pack.NAME}: {', '.join((*pack.MARKERS, *pack.SOURCES))}" for pack in PACKS)


def _found(tree: Tree) -> list[tuple[Pack, str]]:
    """Return the packs whose markers are there, in their order, else those whose sources are."""
    marked = [(pack, name) for pack in PACKS if (name := tree.first(*pack.MARKERS))]
    return marked or [(pack, name) for pack in PACKS if (name := tree.first(*pack.SOURCES))]


def named(tree: Tree) -> tuple[Process, ...]:
    """Return the processes of the tree's Procfile, none where it has none; raises BadInput."""
    if not tree.has("Procfile"):
        return ()
    lines = procfile.parse(tree.text("Procfile"))
    return tuple(Process(name, line, "Procfile") for name, line in lines.items())
