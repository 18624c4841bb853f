# SPDX-License-Identifier: Apache-2.0
"""Packages of a Node.js tree: which of npm, yarn and pnpm installs them, and from what. Called by `nodejs`."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from stackyard.drivers.builders.packs import nodejs_locks
from stackyard.drivers.builders.plans import APP, CACHE, PROJECT, Cure
from stackyard.drivers.builders.trees import MAX_LOCK, Tree
from stackyard.model import errors

LOCKS = {
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
    "yarn.lock": "yarn",
    "pnpm-lock.yaml": "pnpm",
}
_SETTINGS = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml")
_HOOKS = ("preinstall", "install", "postinstall")
_KEPT = (
    *("name", "version", "type", "engines", "workspaces", "packageManager", "overrides", "resolutions", "pnpm"),
    *("dependencies", "devDependencies", "optionalDependencies", "peerDependencies", "bundledDependencies"),
    *("dependenciesMeta", "peerDependenciesMeta"),
)
_PNPM = {"5": "7", "6": "8", "9": "9"}
CURES = (
    Cure(
        r"npm ci.{0,80} can only install packages when|`npm ci` can only install",
        "the lock file disagrees with package.json: run 'npm install' and push package-lock.json",
    ),
    Cure(
        r"lockfile needs to be updated|YN0028",
        "the lock file disagrees with package.json: run 'yarn install' and push yarn.lock",
    ),
    Cure(
        r"ERR_PNPM_OUTDATED_LOCKFILE|frozen-lockfile",
        "the lock file disagrees with package.json: run 'pnpm install' and push pnpm-lock.yaml",
    ),
    Cure(r"E404|ETARGET|notarget|No matching version", "the registry has no such package or version; see npm's lines"),
    Cure(r"EBADENGINE|Unsupported engine|incompatible with this module", "a package wants another version of Node.js"),
)


@dataclasses.dataclass(frozen=True)
class Packages:
    """What is installed: `files` by name, whether anything is `needed` to run, whether `dev` has more to build with."""

    tool: str
    version: str
    found_in: str
    files: dict[str, str]
    needed: bool
    dev: bool
    whole_tree: bool
    locked: bool
    notes: tuple[str, ...] = ()

    def command(self, *, dev: bool) -> str:
        """Return the shell command that installs into /app/node_modules."""
        lines = [f"export npm_config_cache={CACHE}/npm npm_config_fund=false npm_config_audit=false"]
        lines += ["export npm_config_update_notifier=false", f"cp -R {PROJECT}/. {APP}/", f"cd {APP}"]
        return "\n".join([*lines, *getattr(self, f"_{self.tool}")(dev)])

    def _npm(self, dev: bool) -> list[str]:
        return [f"npm {'ci' if self.locked else 'install --no-save'} {'--include=dev' if dev else '--omit=dev'}"]

    def _pnpm(self, dev: bool) -> list[str]:
        return [
            f"npx --yes pnpm@{self.version} install --frozen-lockfile {'--prod=false' if dev else '--prod'}"
            f" --store-dir {CACHE}/pnpm --reporter=append-only"
        ]

    def _yarn(self, dev: bool) -> list[str]:
        if self.version.startswith("1"):
            production = "--production=false" if dev else "--production=true"
            command = f"npx --yes yarn@{self.version} install --frozen-lockfile --non-interactive --no-progress"
            return [f"{command} {production} --cache-folder {CACHE}/yarn1"]
        lines = [f"export YARN_NODE_LINKER=node-modules YARN_ENABLE_GLOBAL_CACHE=false YARN_CACHE_FOLDER={CACHE}/yarn"]
        lines += ["export YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_PROGRESS_BARS=false"]
        yarn = f"npx --yes @yarnpkg/cli-dist@{self.version}"
        lines.append(f"{yarn} install --immutable")
        return lines if dev else [*lines, f"{yarn} workspaces focus --production"]


def find(tree: Tree, package: dict[str, Any]) -> Packages:
    """Return how the packages are installed; raises BadInput where two lock files may disagree."""
    locks = [name for name in LOCKS if tree.has(name)]
    tools = {LOCKS[name] for name in locks}
    if len(tools) > 1:
        raise errors.BadInput(f"{' and '.join(locks)} are both there and may disagree; remove the one not in use")
    lock = locks[0] if locks else None
    tool = LOCKS[lock] if lock else "npm"
    scripts = package.get("scripts") or {}
    notes = []
    needs = [name for name in ("dependencies", "optionalDependencies") if package.get(name)]
    if not lock and (needs or package.get("devDependencies")):
        notes.append("no lock file, so versions may differ from build to build; run 'npm install' and push it")
    files = {name: tree.lock(name) for name in locks}
    for name, text in files.items():
        nodejs_locks.check(name, text, package)
    files |= {name: tree.text(name) for name in _SETTINGS if tree.has(name)}
    return Packages(
        tool=tool,
        version=_version(tool, package, files.get(lock or "", "")),
        found_in=lock or "package.json",
        files={"package.json": _reduced(package), **files},
        needed=bool(needs or package.get("workspaces")),
        dev=bool(package.get("devDependencies")),
        whole_tree=_whole_tree(tree, package, scripts),
        locked=lock is not None,
        notes=tuple(notes),
    )


def _whole_tree(tree: Tree, package: dict[str, Any], scripts: dict[str, Any]) -> bool:
    """Tell whether installing needs more of the tree than its manifest."""
    texts = [value for name in ("dependencies", "devDependencies") for value in (package.get(name) or {}).values()]
    local = any(re.match(r"(file|link|portal|workspace|patch):|\.{0,2}/", str(text)) for text in texts)
    return bool(local or package.get("workspaces") or tree.has("pnpm-workspace.yaml") or set(_HOOKS) & set(scripts))


def _reduced(package: dict[str, Any]) -> str:
    """Return package.json with what installing depends on, so that other changes of it keep the layer."""
    kept = {name: package[name] for name in _KEPT if name in package}
    hooks = {name: text for name, text in (package.get("scripts") or {}).items() if name in _HOOKS}
    return json.dumps({**kept, **({"scripts": hooks} if hooks else {})}, indent=2)


def _version(tool: str, package: dict[str, Any], lock: str) -> str:
    """Return the version of the tool: packageManager says it, or else the lock file's form."""
    named = re.fullmatch(r"(npm|yarn|pnpm)@(\d+(?:\.\d+)*)(?:\+\S+)?", str(package.get("packageManager", "")))
    if named and named[1] == tool:
        return named[2]
    if tool == "pnpm":
        form = re.search(r"^lockfileVersion:\s*'?(\d+)", lock[:MAX_LOCK], re.M)
        return _PNPM.get(form[1] if form else "", "9")
    return "4" if tool == "yarn" and "__metadata:" in lock[:2000] else "1"
