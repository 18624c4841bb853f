# SPDX-License-Identifier: Apache-2.0
"""What buildpacks' layers do to the environment of a build and of the application. Called by `build` and `layers`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

SEARCHED = {"PATH": "bin", "LD_LIBRARY_PATH": "lib", "LIBRARY_PATH": "lib", "CPATH": "include"}
AT_LAUNCH = ("PATH", "LD_LIBRARY_PATH")

Change = tuple[str, str, str, str]
"""A change of the environment: how (append, prepend, override, default), name, value, delimiter."""


def changes(folder: pathlib.Path) -> list[Change]:
    """Return what the files of an `env` folder say: NAME, NAME.append, NAME.prepend, NAME.override, NAME.default."""
    found: list[Change] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        name, _, how = path.name.partition(".")
        if path.is_file() and how != "delim":
            delimiter = folder / f"{name}.delim"
            text = delimiter.read_text() if delimiter.is_file() else ""
            found.append((how or "override", name, path.read_text(errors="replace"), text))
    return found


def changed(environment: Mapping[str, str], asked: Sequence[Change]) -> dict[str, str]:
    """Return an environment after changes."""
    after = dict(environment)
    for how, name, value, delimiter in asked:
        before = after.get(name, "")
        parts = {"append": (before, value), "prepend": (value, before)}.get(how)
        if parts:
            after[name] = delimiter.join(part for part in parts if part)
        elif how == "override" or (how == "default" and name not in after):
            after[name] = value
    return after


def of_layer(layer: pathlib.Path, stage: str) -> list[Change]:
    """Return the changes that a layer makes for `build` or `launch`: its programs are found, its files read."""
    searched = SEARCHED if stage == "build" else AT_LAUNCH
    found: list[Change] = [
        ("prepend", name, str(layer / SEARCHED[name]), ":") for name in searched if (layer / SEARCHED[name]).is_dir()
    ]
    if stage == "build" and (layer / "pkgconfig").is_dir():
        found.append(("prepend", "PKG_CONFIG_PATH", str(layer / "pkgconfig"), ":"))
    return [*found, *changes(layer / "env"), *changes(layer / f"env.{stage}")]
