# SPDX-License-Identifier: Apache-2.0
"""Layers of a Cloud Native Buildpack: what they are for, and what is kept of them between builds. Called by `build`."""

from __future__ import annotations

import json
import pathlib
import shutil
import tarfile

from .files import Table, pack_tar, read_toml, toml, write

OWN_FILES = ("launch", "build", "store")


class Keep:
    """What a buildpack finds again at the next build: contents of cached layers, and what it noted of the others."""

    def __init__(self, folder: pathlib.Path, layers: pathlib.Path) -> None:
        self._folder = folder
        self._layers = layers
        self._kept: set[str] = set()

    def restore(self) -> None:
        """Bring back what the last build kept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if (self._folder / "store.toml").is_file():
            shutil.copy(self._folder / "store.toml", self._layers / "store.toml")
        for path in sorted(self._folder.glob("*.json")):
            told = json.loads(path.read_text())
            write(self._layers / f"{path.stem}.toml", toml({"metadata": told["metadata"]}))
            if told["cache"]:
                self.reuse(path.stem)

    def reuse(self, name: str) -> None:
        """Bring back a layer's content, if it was kept."""
        path = self._folder / f"{name}.tar"
        if path.is_file():
            with tarfile.open(path) as tar:
                tar.extractall("/")  # noqa: S202  (of our own making, and in the tenant's container)

    def keep(self, name: str, flags: Table) -> None:
        """Keep a layer that is cached, or that the application runs with."""
        self._kept.add(name)
        if not (flags["cache"] or flags["launch"]):
            return
        pack_tar(self._folder / f"{name}.tar", self._layers / name)
        metadata = read_toml(self._layers / f"{name}.toml").get("metadata", {})
        write(self._folder / f"{name}.json", json.dumps({"metadata": metadata, "cache": flags["cache"]}, default=str))

    def finish(self) -> None:
        """Forget layers that are no more; keep the buildpack's own store."""
        for path in [*self._folder.glob("*.json"), *self._folder.glob("*.tar")]:
            if path.stem not in self._kept:
                path.unlink()
        if (self._layers / "store.toml").is_file():
            shutil.copy(self._layers / "store.toml", self._folder / "store.toml")


def flags_of(layer: Table) -> dict[str, bool]:
    """Return what a layer is for; before version 0.6 of the API the words stood at the top."""
    types = layer.get("types", layer)
    return {name: bool(types.get(name, False)) for name in ("launch", "build", "cache")}


def names(folder: pathlib.Path) -> list[str]:
    """Return the layers that a buildpack has described in its folder."""
    return sorted(path.stem for path in folder.glob("*.toml") if path.stem not in OWN_FILES)


def at_launch(folder: pathlib.Path) -> list[list[str]]:
    """Return what of a layer runs before the application, in order: the type of process (empty: all), and the file."""
    files = [path for path in folder.glob("*") if path.is_file()]
    of_types = [path for path in folder.glob("*/*") if path.is_file()]
    return [["", str(path)] for path in sorted(files)] + [[path.parent.name, str(path)] for path in sorted(of_types)]
