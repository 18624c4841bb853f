# SPDX-License-Identifier: Apache-2.0
"""The pack of static sites: a folder with an index.html, served as it is.

Called by `packs`; `nodejs` uses its stack for sites that are built first.
"""

from __future__ import annotations

from stackyard.drivers.builders.plans import APP, Plan, Process, Runtime
from stackyard.drivers.builders.trees import Tree

NAME = "a static site"
MARKERS: tuple[str, ...] = ()
OUTPUTS = ("dist", "build", "out", "_site", "site", "public", "dist/browser")
SOURCES = ("index.html", *(f"{folder}/index.html" for folder in ("public", "dist", "build", "out", "_site", "site")))
STACK = "stackyard/static"


def plan(tree: Tree, found: str) -> Plan:
    """Return the plan of the folder that the index.html is in."""
    folder = found.rpartition("/")[0]
    root = f"{APP}/{folder}" if folder else APP
    notes = []
    if tree.has(f"{folder}/200.html" if folder else "200.html"):
        notes.append("unknown paths get 200.html")
    return Plan(
        pack="static",
        runtime=Runtime("lighttpd", "1.4", f"there is {found}"),
        found=found,
        run_stack=STACK,
        environment={"WEB_ROOT": root},
        processes=(Process("web", f"serve-static {root}", f"there is {found}"),),
        notes=tuple(notes),
    )
