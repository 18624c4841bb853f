# SPDX-License-Identifier: Apache-2.0
"""Whether the lock files of npm, yarn and pnpm have what package.json asks for. Called by `nodejs_packages`. Pure.

As each tool judges it: npm by the locked version, yarn and pnpm by the text that was locked. What is asked for by
other than a version (a tag, a folder, a repository), or changed by overrides, is left to the tool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from stackyard.drivers.builders import ranges
from stackyard.drivers.builders.packs.locks import disagrees, table

_KINDS = ("dependencies", "devDependencies", "optionalDependencies")
_RANGE = re.compile(r"[\d\s.^~<=>|*xXv-]+")
_STRICT = re.compile(r"[<>](?!=)|!=")
_ALL_NUMBERS = 4
_TOP = 1_000_000


def check(name: str, text: str, package: Mapping[str, Any]) -> None:
    """Raise BadInput naming the first package in which package.json and the lock file of this name differ."""
    if any(key in package for key in ("overrides", "resolutions", "pnpm")):
        return
    asked = {each: str(wanted) for kind in _KINDS for each, wanted in table(package, kind).items()}
    tool, differs = {
        "yarn.lock": ("yarn", _yarn_differs),
        "pnpm-lock.yaml": ("pnpm", _pnpm_differs),
    }.get(name, ("npm", _npm_differs))
    why = differs(text, asked) if asked else ""
    if why:
        raise disagrees(name, "package.json", why, f"{tool} install")


def _npm_differs(text: str, asked: Mapping[str, str]) -> str:
    try:
        lock = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"it is no JSON ({error})"
    lock = lock if isinstance(lock, dict) else {}
    packages = table(lock, "packages") if "packages" in lock else table(lock, "dependencies")
    inner = "node_modules/" if "packages" in lock else ""
    for name, wanted in asked.items():
        found = packages.get(f"{inner}{name}")
        if not isinstance(found, dict):
            return f"it has no {name}"
        version = str(found.get("version", ""))
        if not _allows(wanted, version):
            return f"it has {name} {version} where {wanted} is asked for"
    return ""


def _allows(wanted: str, version: str) -> bool:
    """Tell whether npm takes this version; in doubt it does, and says itself what is wrong."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or not _RANGE.fullmatch(wanted) or _STRICT.search(wanted):
        return True
    try:
        return ranges.allows(wanted, (*ranges.version(version), 0), _ALL_NUMBERS)
    except ValueError:
        return True


def _yarn_differs(text: str, asked: Mapping[str, str]) -> str:
    """Compare with the keys: `ms@^2.0.0:`, or since yarn 2 `"ms@npm:^2.0.0":`."""
    heads = (line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith((" ", "#")))
    keys = {key.strip(' "') for head in heads for key in head.strip('"').split(", ")}
    for name, wanted in asked.items():
        if _RANGE.fullmatch(wanted) and not keys & {f"{name}@{wanted}", f"{name}@npm:{wanted}"}:
            return f"it has not locked {name} {wanted}"
    return ""


def _pnpm_differs(text: str, asked: Mapping[str, str]) -> str:
    """Compare with the specifiers of the importer `.`; what follows them, by far the most, is not read."""
    top = text[:_TOP].partition("\npackages:")[0]
    try:
        lock = yaml.safe_load(top)
    except (yaml.YAMLError, RecursionError):
        return ""
    lock = lock if isinstance(lock, dict) else {}
    if "overrides" in lock:  # specifiers are what they made of those in package.json
        return ""
    own = table(table(lock, "importers"), ".") or lock
    locked = {**table(own, "specifiers")}
    locked |= {
        name: each["specifier"] for kind in _KINDS for name, each in table(own, kind).items() if _is_specified(each)
    }
    for name, wanted in asked.items():
        if str(locked.get(name, "")) != wanted:
            return f"it has not locked {name} {wanted}"
    return ""


def _is_specified(entry: object) -> bool:
    return isinstance(entry, dict) and "specifier" in entry
