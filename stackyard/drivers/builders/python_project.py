# SPDX-License-Identifier: Apache-2.0
"""What a Python source tree says of itself: its dependencies and how it is started. Runs none of its code.

Called by `detect` (is it Python, what is the command) and `python` (what to install).
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import tomllib
from typing import Any

from stackyard.model import errors

MARKERS = ("requirements.txt", "pyproject.toml", "setup.py", "Pipfile", "app.py", "main.py", "wsgi.py", "manage.py")
_MODULES = ("wsgi", "app", "main", "application", "server")
_SCRIPTS = ("app.py", "main.py", "wsgi.py", "server.py")
_WSGI_OBJECT = re.compile(
    r"^(app|application)\s*(?::[^=\n]+)?=(?!=)|^from\s+\S+\s+import\s+.*\b(app|application)\b", re.M
)
_ASGI = re.compile(r"\b(FastAPI|Starlette|Quart|Litestar)\(")
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)", re.M)
_LOCAL = re.compile(r"^\s*(?:(?:-e|--editable)[\s=]+)?(?:\.|file:|\S*/\S*\.whl|\.{0,2}/)\S*", re.M)
_NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.M)
_MAX_TEXT = 1024 * 1024


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


def is_python(folder: pathlib.Path) -> bool:
    """Tell whether the folder holds a Python project or script."""
    return any((folder / name).is_file() for name in MARKERS)


def requirements(folder: pathlib.Path) -> Requirements:
    """Return what to install, from the first of requirements.txt, Pipfile.lock, pyproject.toml, Pipfile, setup.py."""
    if (folder / "requirements.txt").is_file():
        return _requirements_txt(folder)
    if (folder / "Pipfile.lock").is_file():
        return _pipfile_lock(folder)
    if (folder / "pyproject.toml").is_file():
        return _pyproject(folder)
    if (folder / "Pipfile").is_file():
        raise errors.BadInput("Pipfile without Pipfile.lock; run 'pipenv lock' and add Pipfile.lock")
    if (folder / "setup.py").is_file():
        return Requirements({"requirements.txt": ".\n"}, whole_tree=True, found_in="setup.py")
    return Requirements()


def web_command(folder: pathlib.Path, asked: Requirements) -> str | None:
    """Return the shell command that serves HTTP at $PORT: a known server if asked for, else the script itself."""
    target = _served_object(folder)
    if target and "uvicorn" in asked.names and _ASGI.search(_text(folder / (target.split(":")[0] + ".py"))):
        return f"uvicorn --host 0.0.0.0 --port ${{PORT:-8000}} {target}"
    if "gunicorn" in asked.names:
        target = target or _django(folder)
        if target:
            return f"gunicorn --bind 0.0.0.0:${{PORT:-8000}} {target}"
    script = next((name for name in _SCRIPTS if (folder / name).is_file()), None)
    if script:
        return f"python {script}"
    return "python manage.py runserver 0.0.0.0:${PORT:-8000}" if (folder / "manage.py").is_file() else None


def _served_object(folder: pathlib.Path) -> str | None:
    for module in _MODULES:
        path = folder / f"{module}.py"
        match = _WSGI_OBJECT.search(_text(path)) if path.is_file() else None
        if match:
            return f"{module}:{match[1] or match[2]}"
    return None


def _django(folder: pathlib.Path) -> str | None:
    found = sorted(folder.glob("*/wsgi.py"))
    return f"{found[0].parent.name}.wsgi:application" if found and (folder / "manage.py").is_file() else None


def _requirements_txt(folder: pathlib.Path) -> Requirements:
    files: dict[str, str] = {}
    waiting = ["requirements.txt"]
    while waiting:
        name = waiting.pop()
        if name in files or "://" in name:
            continue
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise errors.BadInput(f"requirements.txt refers to {name!r}, which is not in the source tree")
        files[name] = _text(path)
        above = pathlib.PurePosixPath(name).parent
        waiting += [str(above / included) for included in _INCLUDE.findall(files[name])]
    local = any(_LOCAL.search(text) for text in files.values())
    return Requirements(files, whole_tree=local, found_in="requirements.txt")


def _pipfile_lock(folder: pathlib.Path) -> Requirements:
    try:
        packages: dict[str, Any] = json.loads(_text(folder / "Pipfile.lock"))["default"]
        lines = [_pinned(name, details) for name, details in sorted(packages.items())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.BadInput(f"Pipfile.lock can't be read ({error}); run 'pipenv lock'") from error
    return Requirements({"requirements.txt": "\n".join(lines) + "\n"}, found_in="Pipfile.lock")


def _pinned(name: str, details: dict[str, Any]) -> str:
    if "version" not in details:
        raise errors.BadInput(f"Pipfile.lock: {name} has no version (a path or a repository); use requirements.txt")
    extras = f"[{','.join(details['extras'])}]" if details.get("extras") else ""
    marker = f" ; {details['markers']}" if details.get("markers") else ""
    return f"{name}{extras}{details['version']}{marker}"


def _pyproject(folder: pathlib.Path) -> Requirements:
    try:
        document = tomllib.loads(_text(folder / "pyproject.toml"))
    except tomllib.TOMLDecodeError as error:
        raise errors.BadInput(f"pyproject.toml is no TOML: {error}") from error
    project = document.get("project")
    constraints = _locked(folder, "uv.lock") or _locked(folder, "poetry.lock")
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


def _locked(folder: pathlib.Path, name: str) -> str:
    """Return the versions of a lock file as pip constraints; packages with several versions are left to pip."""
    if not (folder / name).is_file():
        return ""
    try:
        packages = tomllib.loads(_text(folder / name)).get("package", [])
        pins = [(p["name"], p["version"]) for p in packages if "version" in p and not _is_local(p.get("source", {}))]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise errors.BadInput(f"{name} can't be read: {error}") from error
    names = [package for package, _ in pins]
    return "".join(f"{package}=={version}\n" for package, version in sorted(pins) if names.count(package) == 1)


def _is_local(source: dict[str, Any]) -> bool:
    return bool({"editable", "virtual", "directory", "git", "path"} & set(source)) or source.get("type") in (
        "directory",
        "git",
    )


def _text(path: pathlib.Path) -> str:
    if path.stat().st_size > _MAX_TEXT:
        raise errors.BadInput(f"{path.name} is larger than {_MAX_TEXT} bytes")
    return path.read_text(errors="replace")
