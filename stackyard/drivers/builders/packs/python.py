# SPDX-License-Identifier: Apache-2.0
"""The Python language pack: pip's packages in a virtual environment, the source files beside it.

Called by `packs`. Reads only; what it says is done by `executor`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackyard.drivers.builders.packs.python_requirements import Requirements, requirements
from stackyard.drivers.builders.plans import APP, CACHE, PROJECT, Cure, Plan, Process, Step
from stackyard.drivers.builders.trees import MAX_LOCK, Tree
from stackyard.drivers.builders.versions import Offer, Wish, choose

NAME = "Python"
MARKERS = ("requirements.txt", "pyproject.toml", "setup.py", "Pipfile", "manage.py")
SOURCES = ("app.py", "main.py", "wsgi.py")
OFFER = Offer(NAME, "3.11.2")
STACK, COMPILER = "stackyard/python", "stackyard/python-build"
_MODULES = ("wsgi", "app", "main", "application", "server")
_SCRIPTS = ("app.py", "main.py", "wsgi.py", "server.py")
_WSGI_OBJECT = re.compile(
    r"^(app|application)\s*(?::[^=\n]+)?=(?!=)|^from\s+\S+\s+import\s+.*\b(app|application)\b", re.M
)
_ASGI = re.compile(r"\b(FastAPI|Starlette|Quart|Litestar)\(")
_CURES = (
    Cure(
        r"ResolutionImpossible|conflicting dependencies",
        "the versions asked for exclude each other; if the lock file is older than its manifest, lock again"
        " ('uv lock', 'poetry lock') and push it",
    ),
    Cure(r"No matching distribution found", "the package index has no such version for Python 3.11; see pip's lines"),
)
_UNSTARTED = (
    "this is Python, but what starts it? Looked for a Procfile, for gunicorn with app.py, main.py or wsgi.py,"
    " and for app.py, main.py, wsgi.py; add a Procfile with a line such as 'web: python -m package'"
)


def plan(tree: Tree, found: str) -> Plan:
    """Return what to install and to start; raises BadInput."""
    asked = requirements(tree)
    web = _web(tree, asked)
    return Plan(
        pack="python",
        runtime=choose(OFFER, _wishes(tree)),
        found=found,
        run_stack=STACK,
        install=_install(asked) if asked.files else None,
        ignores=(".venv", "**/__pycache__"),
        environment={"PYTHONPATH": "/app:/app/src", "PYTHONUNBUFFERED": "1"},
        processes=(web,) if web else (),
        unstarted=_UNSTARTED,
    )


def _install(asked: Requirements) -> Step:
    first = next(iter(asked.files))
    constraints = {"constraints.txt": asked.constraints} if asked.constraints else {}
    command = (
        "unset PIP_NO_CACHE_DIR\n"
        "pip install --no-input --no-compile --disable-pip-version-check --progress-bar off --root-user-action ignore"
        f" --cache-dir {CACHE}/pip -r {PROJECT}/{first}{f' -c {PROJECT}/constraints.txt' if constraints else ''}"
        # Each start would compile everything anew otherwise. Unchecked: a layer keeps times only to the second.
        " && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib"
    )
    return Step(
        subject=f"the dependencies of {asked.found_in}",
        tool="pip",
        command=command,
        stack=STACK,
        files={**asked.files, **constraints},
        whole_tree=asked.whole_tree,
        folder=APP if asked.whole_tree else PROJECT,
        produces=("/opt/venv", APP) if asked.whole_tree else ("/opt/venv",),
        compiler=COMPILER,
        cures=_CURES,
    )


def _wishes(tree: Tree) -> Iterator[Wish]:
    for name in ("runtime.txt", ".python-version"):
        if tree.has(name) and (line := tree.line(name, r"^\s*(?:python-)?([^\s#]+)")):
            yield Wish(f"{name}, line {line[0]}", line[1][1])
    if tree.has("pyproject.toml"):
        document = tree.toml("pyproject.toml")
        yield from _wish("pyproject.toml: requires-python", document, "project", "requires-python")
        yield from _wish("pyproject.toml: poetry's python", document, "tool", "poetry", "dependencies", "python")
    if tree.has("Pipfile.lock"):
        lock = tree.json("Pipfile.lock", MAX_LOCK)
        yield from _wish("Pipfile.lock: python_version", lock, "_meta", "requires", "python_version")


def _wish(where: str, document: object, *path: str) -> Iterator[Wish]:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    if isinstance(document, str):
        yield Wish(where, document)


def _web(tree: Tree, asked: Requirements) -> Process | None:
    """Return what serves HTTP at $PORT: a known server if asked for, else the script itself."""
    target = _served_object(tree)
    if target and "uvicorn" in asked.names and _ASGI.search(tree.source(target.split(":")[0] + ".py")):
        return Process("web", f"uvicorn --host 0.0.0.0 --port ${{PORT:-8000}} {target}", "uvicorn is installed")
    if "gunicorn" in asked.names and (target := target or _django(tree)):
        return Process("web", f"gunicorn --bind 0.0.0.0:${{PORT:-8000}} {target}", "gunicorn is installed")
    if script := tree.first(*_SCRIPTS):
        return Process("web", f"python {script}", f"there is {script}")
    if tree.has("manage.py"):
        return Process("web", "python manage.py runserver 0.0.0.0:${PORT:-8000}", "there is manage.py and no gunicorn")
    return None


def _served_object(tree: Tree) -> str | None:
    for module in _MODULES:
        name = f"{module}.py"
        match = _WSGI_OBJECT.search(tree.source(name)) if tree.has(name) else None
        if match:
            return f"{module}:{match[1] or match[2]}"
    return None


def _django(tree: Tree) -> str | None:
    found = sorted(tree.folder.glob("*/wsgi.py"))
    return f"{found[0].parent.name}.wsgi:application" if found and tree.has("manage.py") else None
