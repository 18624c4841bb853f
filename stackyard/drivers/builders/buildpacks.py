# SPDX-License-Identifier: Apache-2.0
"""Third-party buildpacks: how users name them, and what a fetched one says of itself. Called by `detect`, `compose`

and `buildpack_images`. Reads only.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors
from stackyard.model.sources import check_repository, check_revision, without_password

FILE = ".buildpacks"
MAX_BUILDPACKS = 10
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,127}")
RESERVED = ("app", "config", "sbom", "generated")


@dataclasses.dataclass(frozen=True)
class Named:
    """A buildpack as users name it: a git URL with `#revision` or without."""

    url: str
    revision: str = ""

    def __str__(self) -> str:
        return without_password(self.url) + (f"#{self.revision}" if self.revision else "")


@dataclasses.dataclass(frozen=True)
class Buildpack:
    """What a fetched buildpack is: `kind` heroku or cnb, with notes on what may not fit."""

    kind: str
    id: str
    version: str
    clear_env: bool = False
    notes: tuple[str, ...] = ()


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


def of_tree(tree: Tree) -> tuple[str, ...]:
    """Return those that the file `.buildpacks` names, one a line; none where there is no such file."""
    if not tree.has(FILE):
        return ()
    lines = (line.strip() for line in tree.text(FILE).splitlines())
    return names([line for line in lines if line and not line.startswith("#")], FILE)


def read(folder: pathlib.Path, named: Named) -> Buildpack:
    """Return what a fetched buildpack is; raises BadInput where it is none that can be run here."""
    tree = Tree(folder)
    about = tree.toml("buildpack.toml") if tree.has("buildpack.toml") else {}
    if "order" in about:
        raise errors.BadInput(
            f"buildpack {named} only names others (it has an order); name those that it is made of, in their order"
        )
    if "api" in about and tree.has("bin/build"):
        return _native(tree, about, named)
    if tree.has("bin/compile") and tree.has("bin/detect"):
        name = named.url.rstrip("/").removesuffix(".git").rpartition("/")[2]
        return Buildpack("heroku", re.sub(r"[^A-Za-z0-9._-]", "-", name) or "buildpack", named.revision)
    raise errors.BadInput(
        f"{named} is no buildpack: it has neither bin/detect and bin/compile (Heroku's API) nor buildpack.toml with an"
        " 'api' and bin/build (the Cloud Native Buildpack API); where it must be compiled first, name a branch or tag"
        " with the result"
    )


def _native(tree: Tree, about: dict[str, Any], named: Named) -> Buildpack:
    section = about.get("buildpack")
    section = section if isinstance(section, dict) else {}
    ident = str(section.get("id", ""))
    if not _ID.fullmatch(ident) or ".." in ident or ident in RESERVED:
        raise errors.BadInput(f"buildpack {named}: buildpack.toml must name it: [buildpack] with an id")
    if not tree.has("bin/detect"):
        raise errors.BadInput(f"buildpack {named}: bin/detect is missing")
    version = str(section.get("version", named.revision))
    return Buildpack("cnb", ident, version, bool(section.get("clear-env", False)), _notes(about, ident))


def _notes(about: dict[str, Any], ident: str) -> tuple[str, ...]:
    stacks = [str(each.get("id")) for each in about.get("stacks") or () if isinstance(each, dict)]
    targets = [each for each in about.get("targets") or () if isinstance(each, dict)]
    linux = not targets or any(each.get("os", "linux") == "linux" for each in targets)
    if (stacks and "*" not in stacks) or not linux:
        wanted = ", ".join(stacks) or "another system"
        return (f"buildpack {ident} was made for {wanted}; it runs on Debian 12 here",)
    return ()
