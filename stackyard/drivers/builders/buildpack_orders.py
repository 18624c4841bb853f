# SPDX-License-Identifier: Apache-2.0
"""Buildpacks that are made of others (an `order`): their parts found, their groups written out in full.

Called by `buildpack_images`. A part lies in the same repository, is named by `package.toml`, or was named beside it.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Iterator, Sequence

from stackyard.drivers.builders import buildpacks
from stackyard.drivers.builders.buildpacks import Buildpack, Member
from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors
from stackyard.model.buildpacks import Named, parse

MAX_DEPTH = 5
MAX_PACKS = 50
MAX_GROUPS = 100
MAX_FOLDERS = 200

Group = tuple[tuple[int, bool], ...]
"""Buildpacks by their numbers, in the order in which they build, and whether each may be left out."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A buildpack that lies in `folder`, of the repository at `root` that was fetched at `commit`."""

    named: Named
    commit: str
    about: Buildpack
    folder: pathlib.Path
    root: pathlib.Path


Fetch = Callable[[Named], Part]
"""Fetches what a git URL names; raises GiveUp, BadInput."""


@dataclasses.dataclass(frozen=True)
class Order:
    """Buildpacks that build themselves, and the groups of them that are to be tried one after the other."""

    parts: tuple[Part, ...]
    groups: tuple[Group, ...]


def resolve(asked: Sequence[Part], fetch: Fetch) -> Order:
    """Return the order that the buildpacks asked for come to; raises BadInput for a part that nobody has."""
    return _Resolution(asked, fetch).order()


class _Resolution:
    def __init__(self, asked: Sequence[Part], fetch: Fetch) -> None:
        self._asked = asked
        self._fetch = fetch
        self._parts: list[Part] = []
        self._supplied: set[int] = set()
        self._fetched: dict[str, Part] = {}

    def order(self) -> Order:
        made = {at: self._groups(part, 0) for at, part in enumerate(self._asked) if part.about.kind == "order"}
        groups: list[Group] = [()]
        for at, part in enumerate(self._asked):
            if at not in self._supplied:  # those that an order names build there only
                groups = _joined(groups, made[at] if at in made else [((self._number(part), False),)])
        return Order(tuple(self._parts), tuple(map(_once, groups)))

    def _groups(self, part: Part, depth: int) -> list[Group]:
        """Return the groups of a buildpack: its own, or those of its order, each written out."""
        if part.about.kind != "order":
            return [((self._number(part), False),)]
        if depth >= MAX_DEPTH:
            raise errors.BadInput(
                f"buildpack {part.named}: orders of orders go deeper than {MAX_DEPTH}, or in a circle"
            )
        found: list[Group] = []
        for members in part.about.groups:
            groups: list[Group] = [()]
            for member in members:
                groups = _joined(groups, self._of_member(part, member, depth))
            found += groups
        return found

    def _of_member(self, part: Part, member: Member, depth: int) -> list[Group]:
        there = self._find(part, member)
        groups = self._groups(there, depth + 1)
        if not member.optional:
            return groups
        if there.about.kind == "order":
            return [*groups, ()]
        return [tuple((number, True) for number, _ in group) for group in groups]

    def _number(self, part: Part) -> int:
        if part not in self._parts:
            self._parts.append(part)
        if len(self._parts) > MAX_PACKS:
            raise errors.BadInput(f"the buildpacks are made of more than {MAX_PACKS} others")
        return self._parts.index(part)

    def _find(self, part: Part, member: Member) -> Part:
        """Return what an order calls by its id: of its own repository, of its package, or named beside it."""
        for found in (*_within(part), *self._of_package(part)):
            if _is(found, member):
                return found
        for at, found in enumerate(self._asked):
            if _is(found, member):
                self._supplied.add(at)
                return found
        wanted = f"{member.id} {member.version}".strip()
        raise errors.BadInput(
            f"buildpack {part.named} is made of others, and {wanted} is neither in its repository nor a git URL in its"
            " package.toml; name that one too (such as --buildpack URL)"
        )

    def _of_package(self, part: Part) -> Iterator[Part]:
        """Yield what package.toml names by a git URL; images of registries can't be used."""
        tree = Tree(part.folder)
        listed = tree.toml("package.toml").get("dependencies", []) if tree.has("package.toml") else []
        for each in listed if isinstance(listed, list) else []:
            uri = str(each.get("uri", "")) if isinstance(each, dict) else ""
            if urllib.parse.urlsplit(uri).scheme in ("https", "http", "ssh", "git") and not re.search(r"\.t?gz$", uri):
                if uri not in self._fetched:
                    self._fetched[uri] = self._fetch(parse(uri, "package.toml"))
                yield self._fetched[uri]


def _within(part: Part) -> Iterator[Part]:
    """Yield the other buildpacks of the repository, those nearer to its top first."""
    files = sorted(part.root.glob("**/buildpack.toml"), key=lambda path: (len(path.parts), path))
    for path in files[:MAX_FOLDERS]:
        if path.parent != part.folder and path.resolve().is_relative_to(part.root.resolve()):
            try:
                about = buildpacks.read(path.parent, part.named)
            except errors.BadInput:  # a template, or one that must be compiled first
                continue
            yield dataclasses.replace(part, about=about, folder=path.parent)


def _is(part: Part, member: Member) -> bool:
    version = part.about.version
    return part.about.id == member.id and (
        not member.version or part.about.kind == "heroku" or version == member.version
    )


def _joined(before: Sequence[Group], after: Sequence[Group]) -> list[Group]:
    if len(before) * len(after) > MAX_GROUPS:
        raise errors.BadInput(f"the buildpacks' orders come to more than {MAX_GROUPS} groups")
    return [(*one, *other) for one in before for other in after]


def _once(group: Group) -> Group:
    """Return a group in which each buildpack builds where it is named first."""
    first: dict[int, bool] = {}
    for number, optional in group:
        first.setdefault(number, optional)
    return tuple(first.items())
