# SPDX-License-Identifier: Apache-2.0
"""The Node.js language pack: packages by lock file, a build script where there is one, then the start script.

A tree that only builds becomes a static site. Called by `packs`; what it says is done by `executor`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from stackyard.drivers.builders.packs import nodejs_packages, static
from stackyard.drivers.builders.plans import APP, CACHE, Cure, Plan, Process, Step
from stackyard.drivers.builders.trees import Tree
from stackyard.drivers.builders.versions import Offer, Wish, choose
from stackyard.model import errors

NAME = "Node.js"
MARKERS = ("package.json",)
SOURCES = ("server.js",)
OFFER = Offer(NAME, "18.20.4", exact=1)
STACK, COMPILER = "stackyard/nodejs", "stackyard/nodejs-build"
_MAIN = ("server.js", "index.js", "app.js", "server.mjs", "index.mjs", "app.mjs")
_MEMORY = Cure(r"JavaScript heap out of memory", "it ran out of memory: let the build script do less at a time")
_UNSTARTED = (
    "this is Node.js, but what starts it? Looked for a Procfile, for scripts.start and main in package.json, for"
    f" {', '.join(_MAIN)}, and for scripts.build, which makes a static site; add one of them"
)


def plan(tree: Tree, found: str) -> Plan:
    """Return what to install, to build and to start; raises BadInput."""
    package = tree.json("package.json") if tree.has("package.json") else {}
    scripts = _table(package, "scripts")
    packages = nodejs_packages.find(tree, package)
    web = _web(tree, package, scripts)
    if web is None and "build" in scripts and not tree.has("Procfile"):
        return _site(tree, package, packages, found)
    return Plan(
        pack="nodejs",
        runtime=choose(OFFER, _wishes(tree, package)),
        found=found,
        run_stack=STACK,
        install=_install(packages, dev=False) if packages.needed else None,
        tools=_install(packages, dev=True) if "build" in scripts and packages.dev else None,
        build=_build() if "build" in scripts else None,
        tree="build" not in scripts,
        ignores=("node_modules",),
        environment={"NODE_ENV": "production"},
        processes=(web,) if web else (),
        unstarted=_UNSTARTED,
        notes=packages.notes,
    )


def _site(tree: Tree, package: dict[str, Any], packages: nodejs_packages.Packages, found: str) -> Plan:
    """Return the plan of a site that is built with Node.js and served without."""
    build = _build()
    folders = " ".join(static.OUTPUTS)
    command = (
        f"{build.command}\n"
        f'for folder in {folders}; do if [ -f "$folder/index.html" ]; then mv "$folder" .site; exit 0; fi; done\n'
        f"echo 'the build left no index.html in any of: {folders}' >&2; exit 1"
    )
    produced = f"{APP}/.site"
    cures = (Cure(r"left no index\.html", "let the build script write to dist, or add a start script to package.json"),)
    return Plan(
        pack="nodejs",
        runtime=choose(OFFER, _wishes(tree, package)),
        found=found,
        run_stack=static.STACK,
        tools=_install(packages, dev=True) if packages.dev or packages.needed else None,
        build=dataclasses.replace(
            build, command=command, produces=(produced,), leaves=(), cures=(*cures, *build.cures)
        ),
        tree=False,
        ignores=("node_modules",),
        environment={"WEB_ROOT": produced},
        processes=(Process("web", f"serve-static {produced}", "scripts.build and no scripts.start: a static site"),),
        notes=packages.notes,
    )


def _install(packages: nodejs_packages.Packages, *, dev: bool) -> Step:
    return Step(
        subject=f"the {'build tools' if dev else 'dependencies'} of {packages.found_in}",
        tool=packages.tool,
        command=packages.command(dev=dev),
        stack=STACK,
        files=packages.files,
        whole_tree=packages.whole_tree,
        produces=(f"{APP}/node_modules",),
        compiler=COMPILER,
        cures=nodejs_packages.CURES,
    )


def _build() -> Step:
    return Step(
        subject="the application",
        tool="scripts.build of package.json",
        command=f"export NODE_ENV=production npm_config_cache={CACHE}/npm\nnpm run build",
        stack=STACK,
        whole_tree=True,
        produces=(APP,),
        leaves=(f"{APP}/node_modules",),
        verb="built",
        cures=(_MEMORY,),
    )


def _web(tree: Tree, package: dict[str, Any], scripts: dict[str, Any]) -> Process | None:
    start = scripts.get("start")
    if isinstance(start, str) and start.strip():
        hooked = "prestart" in scripts or "poststart" in scripts or "npm" in start
        return Process("web", "npm start" if hooked else start, "scripts.start of package.json")
    main = package.get("main")
    if isinstance(main, str) and tree.has(main) and "build" not in scripts:
        return Process("web", f"node {_quoted(main)}", "main of package.json")
    script = tree.first(*_MAIN)
    return Process("web", f"node {script}", f"there is {script}") if script else None


def _wishes(tree: Tree, package: dict[str, Any]) -> Iterator[Wish]:
    asked = _table(package, "engines").get("node")
    if isinstance(asked, str):
        yield Wish("package.json: engines.node", asked)
    for name in (".nvmrc", ".node-version"):
        if tree.has(name) and (line := tree.line(name, r"^\s*([^\s#]+)")):
            yield Wish(f"{name}, line {line[0]}", line[1][1])


def _table(package: dict[str, Any], name: str) -> dict[str, Any]:
    found = package.get(name) or {}
    if not isinstance(found, dict):
        raise errors.BadInput(f'package.json: {name} must be an object: {{"name": "value"}}')
    return found


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[\w./-]+", path) else "'" + path.replace("'", "'\\''") + "'"
