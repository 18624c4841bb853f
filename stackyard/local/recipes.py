# SPDX-License-Identifier: Apache-2.0
"""Recipes of images: folders with a Dockerfile each, what they stand on, their digests, and what a build is given.

Called by `stackyard.local.images`; knows no Engine.
"""

from __future__ import annotations

import dataclasses
import graphlib
import hashlib
import io
import pathlib
import re
import tarfile
from collections.abc import Sequence

from stackyard.drivers.builders import host
from stackyard.model import errors

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "images"
PREFIX = "stackyard"
BASE = "base"
FROM = re.compile(rf"^FROM {PREFIX}/([a-z0-9-]+)(?=( AS [a-z]+)?[ \t]*$)", re.MULTILINE)
HOST = "host"
"""Folder of a context with what this host knows of package indexes, for recipes that copy it into an early stage."""
_COPIES_HOST = re.compile(rf"^COPY {HOST}/ /{HOST}/$", re.MULTILINE)
_RELEASE = re.compile(r"requirements-(.+)\.txt")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one image is made: `digest` covers its files and those of all its parents."""

    name: str
    folder: pathlib.Path
    parent: Recipe | None
    digest: str

    @property
    def reference(self) -> str:
        """Return the image's name and tag."""
        return f"{self.repository}:{self.digest[:12]}"

    @property
    def repository(self) -> str:
        """Return the image's name without a tag."""
        return f"{PREFIX}/{self.name}"


def recipes(folder: pathlib.Path = FOLDER) -> dict[str, Recipe]:
    """Return all recipes by name; raises Unavailable when the folder is missing or wrong."""
    if not (folder / BASE).is_dir():
        raise errors.Unavailable(f"the image recipes are missing: {folder} should hold them; install from a checkout")
    names = sorted(path.parent.name for path in folder.glob("*/Dockerfile"))
    found: dict[str, Recipe] = {}
    parents = {name: _parent(folder / name) for name in names}
    for name in graphlib.TopologicalSorter({name: [p] if p else [] for name, p in parents.items()}).static_order():
        if name not in parents:
            raise errors.Unavailable(f"an image in {folder} is FROM {PREFIX}/{name}, for which there is no recipe")
        parent = found[parents[name] or BASE] if parents[name] else None
        found[name] = Recipe(name, folder / name, parent, _digest(folder / name, parent))
    return found


def from_source(name: str, release: str, folder: pathlib.Path = FOLDER) -> str:
    """Return the name of the recipe that makes an image from source, of this release; raises NotFound."""
    made = folder / f"{name}-source"
    releases = sorted(_RELEASE.sub(r"\1", path.name) for path in made.glob("requirements-*.txt"))
    if release not in releases:
        there = f"there is {', '.join(releases)}" if releases else "it is made from Debian packages only"
        raise errors.NotFound(f"there is no recipe for {name} {release} from source: {there}")
    return made.name


def _parent(folder: pathlib.Path) -> str | None:
    """Return what all stages of a Dockerfile stand on, None for a base; raises Unavailable for several."""
    found = {match[1] for match in FROM.finditer((folder / "Dockerfile").read_text())}
    if len(found) > 1:
        raise errors.Unavailable(f"the recipe {folder.name} is FROM several images of ours: {', '.join(sorted(found))}")
    return found.pop() if found else None


def _files(folder: pathlib.Path) -> Sequence[pathlib.Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _digest(folder: pathlib.Path, parent: Recipe | None) -> str:
    digest = hashlib.sha256((parent.digest if parent else "").encode())
    for path in _files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder)} {content}\n".encode())
    return digest.hexdigest()


def context(recipe: Recipe) -> bytes:
    """Return the recipe's folder as a tar, its Dockerfile naming the parent by the tag of this very recipe.

    What this host knows of package indexes is added for a recipe that asks for it; it is no part of the digest.
    """
    texts = {str(path.relative_to(recipe.folder)): path.read_bytes() for path in _files(recipe.folder)}
    dockerfile = texts["Dockerfile"].decode()
    if recipe.parent:
        texts["Dockerfile"] = FROM.sub(f"FROM {recipe.parent.reference}", dockerfile).encode()
    if _COPIES_HOST.search(dockerfile):
        texts |= _host_files()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in texts.items():
            # Owner, mode and time are ours, so that the Engine's cache knows a file again.
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _host_files() -> dict[str, bytes]:
    files = {**host.build_files(), "exports.sh": host.exports(f"/{HOST}") + "\n"}
    return {f"{HOST}/{name}": text.encode() for name, text in files.items()}
