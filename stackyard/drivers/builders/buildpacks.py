# SPDX-License-Identifier: Apache-2.0
"""Third-party buildpacks: which a source tree names, and what a fetched one says of itself. Reads only.

Called by `detect`, `buildpack_orders` and `buildpack_images`.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors
from stackyard.model.buildpacks import Named, names

__all__ = ["FILE", "RESERVED", "Buildpack", "Member", "names", "of_tree", "read"]

FILE = ".buildpacks"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,127}")
RESERVED = ("app", "config", "sbom", "generated")


@dataclasses.dataclass(frozen=True)
class Member:
    """One buildpack of a group of an order, by its id; an empty `version` means any."""

    id: str
    version: str = ""
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Buildpack:
    """What a fetched buildpack is: `kind` heroku, cnb or order, with notes on what may not fit.

    An order builds nothing itself: its `groups` name other buildpacks, and the first group that fits builds.
    """

    kind: str
    id: str
    version: str
    clear_env: bool = False
    notes: tuple[str, ...] = ()
    groups: tuple[tuple[Member, ...], ...] = ()


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
        return _order(about, named)
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


def _section(about: dict[str, Any], named: Named) -> tuple[str, dict[str, Any]]:
    """Return the id of a buildpack, and all that it says of itself; raises BadInput."""
    section = about.get("buildpack")
    section = section if isinstance(section, dict) else {}
    ident = str(section.get("id", ""))
    if not _ID.fullmatch(ident) or ".." in ident or ident in RESERVED:
        raise errors.BadInput(f"buildpack {named}: buildpack.toml must name it: [buildpack] with an id")
    return ident, section


def _order(about: dict[str, Any], named: Named) -> Buildpack:
    ident, section = _section(about, named)
    orders = about["order"] if isinstance(about["order"], list) else []
    groups = tuple(_group(order.get("group") if isinstance(order, dict) else None, named) for order in orders)
    if not groups:
        raise errors.BadInput(f"buildpack {named}: its order is empty; it must be [[order]] with [[order.group]]")
    return Buildpack("order", ident, str(section.get("version", named.revision)), groups=groups)


def _group(members: object, named: Named) -> tuple[Member, ...]:
    found = [each for each in members if isinstance(each, dict) and each.get("id")] if isinstance(members, list) else []
    if not found or len(found) != len(members):  # type: ignore[arg-type]
        raise errors.BadInput(f"buildpack {named}: each [[order.group]] must name a buildpack by its id")
    return tuple(Member(str(each["id"]), str(each.get("version", "")), each.get("optional") is True) for each in found)


def _native(tree: Tree, about: dict[str, Any], named: Named) -> Buildpack:
    ident, section = _section(about, named)
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
