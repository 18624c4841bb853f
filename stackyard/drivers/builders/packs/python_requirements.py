# SPDX-License-Identifier: Apache-2.0
"""What a Python source tree wants installed: requirements.txt, Pipfile.lock, pyproject.toml with its locks, setup.py.

Called by `python`. Runs none of the tree's code.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any

from stackyard.drivers.builders.packs import python_locks
from stackyard.drivers.builders.trees import MAX_LOCK, Tree
from stackyard.model import errors

_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.M)
_LOCAL = re.compile(r"^\s*(?:(?:-e|--editable)[\s=]+)?(?:\.|file:|\S*/\S*\.whl|\.{0,2}/)\S*", re.M)
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.M)


@dataclasses.dataclass(frozen=True)
class Requirements:
    """What pip shall install: `files` by relative path (the first is given to pip with -r, `constraints` with -c).

    `whole_tree` tells that installing runs the project's own build, so that any change of it counts.
    """

    files: dict[str, str] = dataclasses.field(default_factory=dict)
    constraints: str = ""
    whole_tree: bool = False
    found_in: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Return the names of packages asked for, in lower case."""
        return frozenset(name.lower() for text in self.files.values() for name in _NAME.findall(text))


def requirements(tree: Tree) -> Requirements:
    """Return what to install, from the first of requirements.txt, Pipfile.lock, pyproject.toml, Pipfile, setup.py."""
    if tree.has("requirements.txt"):
        return _requirements_txt(tree)
    if tree.has("Pipfile.lock"):
        return _pipfile_lock(tree)
    if tree.has("pyproject.toml"):
        return _pyproject(tree)
    if tree.has("Pipfile"):
        raise errors.BadInput("Pipfile without Pipfile.lock; run 'pipenv lock' and add Pipfile.lock")
    if tree.has("setup.py"):
        return Requirements({"requirements.txt": ".\n"}, whole_tree=True, found_in="setup.py")
    return Requirements()


def _requirements_txt(tree: Tree) -> Requirements:
    files: dict[str, str] = {}
    waiting = ["requirements.txt"]
    while waiting:
        name = waiting.pop()
        if name in files or "://" in name:
            continue
        if not tree.has(name):
            raise errors.BadInput(f"requirements.txt refers to {name!r}, which is not in the source tree")
        files[name] = tree.text(name)
        above = pathlib.PurePosixPath(name).parent
        waiting += [str(above / included) for included in _INCLUDE.findall(files[name])]
    local = any(_LOCAL.search(text) for text in files.values())
    return Requirements(files, whole_tree=local, found_in="requirements.txt")


def _pipfile_lock(tree: Tree) -> Requirements:
    try:
        packages: dict[str, Any] = tree.json("Pipfile.lock", MAX_LOCK)["default"]
        lines = [_pinned(name, details) for name, details in sorted(packages.items())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.BadInput(f"Pipfile.lock can't be read ({error}); run 'pipenv lock'") from error
    python_locks.check_pipfile(tree)
    return Requirements({"requirements.txt": "\n".join(lines) + "\n"}, found_in="Pipfile.lock")


def _pinned(name: str, details: dict[str, Any]) -> str:
    if "version" not in details:
        raise errors.BadInput(f"Pipfile.lock: {name} has no version (a path or a repository); use requirements.txt")
    extras = f"[{','.join(details['extras'])}]" if details.get("extras") else ""
    marker = f" ; {details['markers']}" if details.get("markers") else ""
    return f"{name}{extras}{details['version']}{marker}"


def _pyproject(tree: Tree) -> Requirements:
    document = tree.toml("pyproject.toml")
    project = document.get("project")
    constraints = _constraints(tree, document)
    if isinstance(project, dict) and "dependencies" not in project.get("dynamic", []):
        lines = project.get("dependencies", [])
    elif isinstance(project, dict):
        return Requirements({"requirements.txt": ".\n"}, constraints, whole_tree=True, found_in="pyproject.toml")
    else:
        lines = _poetry(document, constraints)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise errors.BadInput("pyproject.toml: project.dependencies must be a list of strings")
    return Requirements(
        {"requirements.txt": "".join(f"{line}\n" for line in lines)}, constraints, found_in="pyproject.toml"
    )


def _poetry(document: dict[str, Any], constraints: str) -> list[str]:
    """Return the main dependencies of an old Poetry project; their versions are those of poetry.lock."""
    asked = document.get("tool", {}).get("poetry", {}).get("dependencies", {})
    if asked and not constraints:
        raise errors.BadInput(
            "pyproject.toml has Poetry's own dependencies but there is no poetry.lock; run 'poetry lock'"
        )
    return [
        name
        for name, value in asked.items()
        if name != "python" and not (isinstance(value, dict) and value.get("optional"))
    ]


def _constraints(tree: Tree, manifest: dict[str, Any]) -> str:
    """Return the versions of the lock file as pip constraints; raises BadInput where it is older than its manifest."""
    name = tree.first("uv.lock", "poetry.lock")
    if name is None:
        return ""
    lock = tree.toml(name, MAX_LOCK)
    pins = _pins(name, lock)
    python_locks.check(name, lock, manifest)
    return pins


def _pins(name: str, lock: dict[str, Any]) -> str:
    """Return `name==version` lines; packages with several versions are left to pip."""
    try:
        packages = lock.get("package", [])
        pins = [(p["name"], p["version"]) for p in packages if "version" in p and not _is_local(p.get("source", {}))]
    except (KeyError, TypeError, AttributeError) as error:
        raise errors.BadInput(f"{name} can't be read: {error}") from error
    names = [package for package, _ in pins]
    return "".join(f"{package}=={version}\n" for package, version in sorted(pins) if names.count(package) == 1)


def _is_local(source: dict[str, Any]) -> bool:
    return bool({"editable", "virtual", "directory", "git", "path"} & set(source)) or source.get("type") in (
        "directory",
        "git",
    )
