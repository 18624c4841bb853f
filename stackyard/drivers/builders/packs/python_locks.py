# SPDX-License-Identifier: Apache-2.0
"""Whether the lock files of Poetry, uv and Pipenv still belong to their manifests. Called by `python_requirements`.

Each tool keeps a mark of what it has locked: Poetry a digest of its sections, Pipenv one of the whole Pipfile, uv the
requirements themselves. Where a mark is absent, the locked versions are held against what is asked for. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from stackyard.drivers.builders.packs.locks import disagrees, table
from stackyard.drivers.builders.trees import MAX_LOCK, Tree

_CURES = {"uv.lock": "uv lock", "poetry.lock": "poetry lock", "Pipfile.lock": "pipenv lock"}
_POETRY = ("dependencies", "source", "extras", "dev-dependencies", "group")
_PROJECT = ("requires-python", "dependencies", "optional-dependencies")
_KNOWN = ("source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop")
_TARGET = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "extra": "",
}
"""What markers are judged by: the Python of the language stack, wherever this code runs."""


def check(name: str, lock: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Raise BadInput where uv.lock or poetry.lock is not what its tool would make of this pyproject.toml now."""
    differs = _uv_differs if name == "uv.lock" else _poetry_differs
    why = differs(lock, manifest) or _unmet(lock, _asked(manifest))
    if why:
        raise disagrees(name, "pyproject.toml", why, _CURES[name])


def check_pipfile(tree: Tree) -> None:
    """Raise BadInput where Pipfile.lock was made of another Pipfile; without a Pipfile there is nothing to hold."""
    if not tree.has("Pipfile"):
        return
    manifest, lock = tree.toml("Pipfile"), tree.json("Pipfile.lock", MAX_LOCK)
    why = _pipfile_differs(lock, manifest)
    if why:
        raise disagrees("Pipfile.lock", "Pipfile", why, _CURES["Pipfile.lock"])


def _pipfile_differs(lock: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    locked = {canonicalize_name(name) for name in table(lock, "default")}
    for name in table(manifest, "packages"):
        if not name.startswith("-") and canonicalize_name(name) not in locked:
            return f"it has no {name}"
    kept = table(lock, "_meta", "hash").get("sha256")
    # Without a source, Pipenv reckons with the one that it was set up with, which is not known here.
    if isinstance(kept, str) and "source" in manifest and kept != pipfile_hash(manifest):
        return "Pipfile was changed after it was locked"
    return ""


def pipfile_hash(manifest: Mapping[str, Any]) -> str:
    """Return what Pipenv keeps as `_meta.hash.sha256` (its library plette: Pipfile.get_hash)."""
    content = {
        "_meta": {"sources": manifest.get("source"), "requires": manifest.get("requires", {})},
        "default": manifest.get("packages", {}),
        "develop": manifest.get("dev-packages", {}),
        **{name: section for name, section in manifest.items() if name not in _KNOWN},
    }
    return _digest(content, (",", ":"))


def poetry_hashes(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield what releases of Poetry keep as `content-hash` (its Locker): since 2.3, since 2.0, and before."""
    poetry = table(manifest, "tool", "poetry")
    project = {key: value for key in _PROJECT if (value := table(manifest, "project").get(key)) is not None}
    named = {key: value for key in _POETRY if (value := poetry.get(key)) is not None}
    groups = table(manifest, "dependency-groups")
    if project or groups:
        newest = {"project": project, "dependency-groups": groups, "tool": {"poetry": named}}
        yield _digest({key: value for key, value in newest.items() if value or key == "tool"})
    if project:
        yield _digest({"project": project, "tool": {"poetry": named}})
    yield _digest({key: poetry.get(key) for key in _POETRY if key != "group" or key in named})


def _poetry_differs(lock: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    kept = table(lock, "metadata").get("content-hash")
    if isinstance(kept, str) and kept not in poetry_hashes(manifest):
        return "the dependencies were changed after they were locked"
    locked = _versions(lock)
    asked = table(manifest, "tool", "poetry", "dependencies")
    missing = [name for name, value in asked.items() if name != "python" and _plain(value)]
    absent = next((name for name in missing if canonicalize_name(name) not in locked), "")
    return f"it has no {absent}" if absent else ""


def _plain(value: object) -> bool:
    """Tell whether a dependency of Poetry's own form is there always."""
    return isinstance(value, str) or (isinstance(value, dict) and not {"optional", "markers", "python"} & set(value))


def _uv_differs(lock: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Return the first requirement that uv has locked in another form than it is asked for."""
    own = next((package for package in _packages(lock) if _is_root(package)), None)
    kept = table(own or {}, "metadata").get("requires-dist")
    project = table(manifest, "project")
    if own is None or "metadata" not in own or "dependencies" in project.get("dynamic", []):
        return ""
    locked = [each for each in (kept if isinstance(kept, list) else []) if isinstance(each, dict)]
    asked = _asked(manifest)
    for each in asked:
        if not any(_same(each, other) for other in locked):
            return f"it has not locked {str(each)!r}"
    names = {canonicalize_name(each.name) for each in asked}
    extra = [each["name"] for each in locked if "name" in each and "extra" not in str(each.get("marker", ""))]
    gone = next((name for name in extra if canonicalize_name(name) not in names), "")
    return f"{gone} is no longer asked for" if gone else ""


def _is_root(package: Mapping[str, Any]) -> bool:
    source = table(package, "source")
    return "." in (source.get("virtual"), source.get("editable"), source.get("directory"))


def _same(asked: Requirement, locked: Mapping[str, Any]) -> bool:
    """Tell whether uv's entry is for this requirement; one from a place of its own has no version to compare."""
    if canonicalize_name(asked.name) != canonicalize_name(str(locked.get("name", ""))):
        return False
    if {"git", "url", "path", "editable", "directory", "virtual"} & set(locked) or asked.url:
        return True
    try:
        return SpecifierSet(str(locked.get("specifier", ""))) == asked.specifier
    except InvalidSpecifier:
        return True


def _asked(manifest: Mapping[str, Any]) -> Sequence[Requirement]:
    """Return what the project asks for; what is no requirement is left to pip, which names it."""
    lines = table(manifest, "project").get("dependencies", [])
    found = []
    for line in lines if isinstance(lines, list) else []:
        try:
            found.append(Requirement(str(line)))
        except InvalidRequirement:
            continue
    return found


def _unmet(lock: Mapping[str, Any], asked: Sequence[Requirement]) -> str:
    """Return the first requirement that the locked packages don't meet."""
    locked = _versions(lock)
    for each in asked:
        versions = locked.get(canonicalize_name(each.name))
        if versions is None and _applies(each.marker):
            return f"it has no {each.name}"
        if versions and not each.url and not any(_allows(each, version) for version in versions):
            return f"it has {each.name} {', '.join(sorted(versions))} where '{each}' is asked for"
    return ""


def _allows(asked: Requirement, version: str) -> bool:
    try:
        return not version or asked.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True


def _applies(marker: Marker | None) -> bool:
    try:
        return marker is None or marker.evaluate(dict(_TARGET))
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


def _versions(lock: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the locked versions by name; an empty one stands for a package that has none."""
    found: dict[str, set[str]] = {}
    for package in _packages(lock):
        version = str(package.get("version", ""))
        found.setdefault(canonicalize_name(str(package.get("name", ""))), set()).add(version)
    return found


def _packages(lock: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    packages = lock.get("package", [])
    return [each for each in packages if isinstance(each, dict)] if isinstance(packages, list) else []


def _digest(content: object, separators: tuple[str, str] = (", ", ": ")) -> str:
    text = json.dumps(content, sort_keys=True, separators=separators, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
