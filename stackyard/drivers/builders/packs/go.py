# SPDX-License-Identifier: Apache-2.0
"""The Go language pack: main packages are compiled into /app/bin, which runs without a toolchain.

Called by `packs`; what it says is done by `executor`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stackyard.drivers.builders.packs import go_sums
from stackyard.drivers.builders.plans import APP, CACHE, Cure, Plan, Process, Step
from stackyard.drivers.builders.trees import Tree
from stackyard.drivers.builders.versions import Offer, Wish, choose
from stackyard.model import errors

NAME = "Go"
MARKERS = ("go.mod",)
SOURCES: tuple[str, ...] = ()
OFFER = Offer(NAME, "1.19.8")
STACK, RUN = "stackyard/go", "stackyard/run"
_MAIN = re.compile(r"^package\s+main\b", re.M)
_CURES = (
    Cure(
        r"missing go\.sum entry|updates to go\.(mod|sum) needed|no required module provides",
        "go.mod and go.sum disagree with the code: run 'go mod tidy' and push both",
    ),
    Cure(r"inconsistent vendoring", "vendor disagrees with go.mod: run 'go mod vendor' and push it"),
    Cure(r"note: module requires Go|requires go >=", "a module wants a newer Go than 1.19: ask for an older one of it"),
    Cure(r"proxy\.|GOPROXY|goproxy", "the modules could not be had: run 'go mod vendor' and push the folder vendor"),
)
_UNSTARTED = "this is Go, but which program serves? Found {found}; name one in a Procfile, such as 'web: bin/NAME'"


def plan(tree: Tree, found: str) -> Plan:
    """Return what to compile and to start; raises BadInput."""
    packages, programs = _programs(tree)
    if not programs:
        raise errors.BadInput("this is Go, but no file at the top or in a folder of cmd is 'package main'; add one")
    web = next((name for name in programs if name in ("web", "server") or len(programs) == 1), None)
    go_sums.check(tree)
    vendored = tree.has("vendor/modules.txt")
    return Plan(
        pack="go",
        runtime=choose(OFFER, _wishes(tree), least=True),
        found=found,
        run_stack=RUN,
        build=Step(
            subject="the application",
            tool="go build",
            command=(
                f"if [ ! -d {CACHE}/go-build ]; then cp -R /opt/go-build {CACHE}/; fi\n"
                f"export CGO_ENABLED=0 GOCACHE={CACHE}/go-build GOMODCACHE={CACHE}/go-mod"
                f" GOFLAGS='-modcacherw -trimpath -buildvcs=false'\ngo build -o bin/ {' '.join(packages)}"
            ),
            stack=STACK,
            whole_tree=True,
            produces=(f"{APP}/bin",),
            verb="built",
            cures=_CURES,
        ),
        ignores=("bin",),
        processes=(Process("web", f"bin/{web}", f"package main of {web}"),) if web else (),
        unstarted=_UNSTARTED.format(found=", ".join(programs)),
        notes=("modules are taken from vendor",) if vendored else (),
    )


def _programs(tree: Tree) -> tuple[list[str], list[str]]:
    """Return the main packages and the names of their programs."""
    if _is_main(tree, "."):
        line = tree.line("go.mod", r"^\s*module\s+\"?([^\s\"]+)")
        if line is None:
            raise errors.BadInput("go.mod has no line 'module NAME'; run 'go mod init NAME'")
        parts = [part for part in line[1][1].split("/") if not re.fullmatch(r"v\d+", part)]
        return ["."], [parts[-1]]
    folders = sorted(path.name for path in tree.folder.glob("cmd/*") if path.is_dir())
    mains = [name for name in folders if _is_main(tree, f"cmd/{name}")]
    return [f"'./cmd/{name}'" for name in mains if "'" not in name], mains


def _is_main(tree: Tree, folder: str) -> bool:
    names = sorted(path.name for path in (tree.folder / folder).glob("*.go") if not path.name.endswith("_test.go"))
    return any(_MAIN.search(tree.source(f"{folder}/{name}")) for name in names if tree.has(f"{folder}/{name}"))


def _wishes(tree: Tree) -> Iterator[Wish]:
    for pattern in (r"^\s*go\s+(\d\S*)", r"^\s*toolchain\s+go(\d\S*)"):
        if line := tree.line("go.mod", pattern):
            yield Wish(f"go.mod, line {line[0]}", line[1][1])
