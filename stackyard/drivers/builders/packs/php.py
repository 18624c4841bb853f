# SPDX-License-Identifier: Apache-2.0
"""The PHP language pack: Composer's packages in vendor, Apache with PHP inside serving public/ or the top.

Called by `packs`; what it says is done by `executor`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stackyard.drivers.builders.packs import composer_lock
from stackyard.drivers.builders.plans import APP, CACHE, PROJECT, Cure, Plan, Process, Step
from stackyard.drivers.builders.trees import MAX_LOCK, Tree
from stackyard.drivers.builders.versions import Offer, Wish, choose
from stackyard.model import errors

NAME = "PHP"
MARKERS = ("composer.json",)
SOURCES = ("index.php", "public/index.php", "web/index.php")
OFFER = Offer(NAME, "8.2.29", tilde_last=True)
STACK, BUILD = "stackyard/php", "stackyard/php-build"
_HOOKS = ("post-install-cmd", "post-autoload-dump")
_CURES = (
    Cure(
        r"is not present in the lock file|lock file is not up to date|does not satisfy",
        "composer.lock disagrees with composer.json: run 'composer update --lock' and push it",
    ),
    Cure(r"requires ext-\S+|requires php \S+ ->", "a package wants an extension or a version of PHP that is not here"),
    Cure(r"curl error|could not be (fully )?downloaded|could not be loaded", "Packagist could not be reached: let the"
         " host reach it, name a mirror in its Composer settings, or push the folder vendor"),
)  # fmt: skip


def plan(tree: Tree, found: str) -> Plan:
    """Return what to install and to serve; raises BadInput."""
    composer = tree.json("composer.json") if tree.has("composer.json") else {}
    root = next((folder for folder in ("public", "web", "") if tree.has(f"{folder}/index.php".lstrip("/"))), None)
    place = f"{APP}/{root}" if root else APP
    vendored = tree.has("vendor/autoload.php")
    lock = tree.json("composer.lock", MAX_LOCK) if tree.has("composer.lock") and not vendored else None
    if lock is not None:
        composer_lock.check(lock, composer)
    install = _install(tree, composer) if composer and not vendored and _wanted(composer) else None
    web = Process("web", f"serve-php {place}", f"there is {root + '/' if root else ''}index.php")
    return Plan(
        pack="php",
        runtime=choose(OFFER, _wishes(composer)),
        found=found,
        run_stack=STACK,
        install=install,
        ignores=("vendor",) if install else (),
        environment={"WEB_ROOT": place},
        processes=(web,) if root is not None else (),
        unstarted="this is PHP, but there is no index.php at the top or in public or web; add one, or a Procfile",
        notes=tuple(_notes(composer, lock, vendored)),
    )


def _install(tree: Tree, composer: dict[str, Any]) -> Step:
    names = [name for name in ("composer.json", "composer.lock") if tree.has(name)]
    local = any(isinstance(each, dict) and each.get("type") == "path" for each in _repositories(composer))
    return Step(
        subject=f"the dependencies of {names[-1]}",
        tool="composer",
        command=(
            f"export COMPOSER_CACHE_DIR={CACHE}/composer COMPOSER_NO_INTERACTION=1\n"
            f"{'' if local else f'cp -R {PROJECT}/. {APP}/'}\ncd {APP}\n"
            "COMPOSER_MIRROR_PATH_REPOS=1 composer install --no-dev --no-scripts --no-progress --prefer-dist"
        ),
        stack=BUILD,
        files={name: tree.lock(name) for name in names},
        whole_tree=local,
        produces=(f"{APP}/vendor",),
        cures=_CURES,
    )


def _repositories(composer: dict[str, Any]) -> list[Any]:
    found = composer.get("repositories") or []
    return list(found.values()) if isinstance(found, dict) else list(found)


def _wanted(composer: dict[str, Any]) -> bool:
    return bool(composer.get("autoload")) or any("/" in name for name in _table(composer, "require"))


def _notes(composer: dict[str, Any], lock: dict[str, Any] | None, vendored: bool) -> Iterator[str]:
    if vendored:
        yield "vendor is in the tree, so Composer is not run"
    if any("/" in name for name in _table(composer, "require")) and lock is None and not vendored:
        yield "no composer.lock, so versions may differ from build to build; run 'composer update' and push it"
    if lock is not None and composer_lock.is_stale(lock, composer):
        yield "composer.json was changed after composer.lock was made; run 'composer update --lock' and push it"
    hooks = [name for name in _HOOKS if name in _table(composer, "scripts")]
    if hooks:
        yield f"composer.json: scripts {', '.join(hooks)} are not run while building"


def _wishes(composer: dict[str, Any]) -> Iterator[Wish]:
    platform = _table(_table(composer, "config"), "platform").get("php")
    if isinstance(platform, str):
        yield Wish("composer.json: config.platform.php", platform)
    asked = _table(composer, "require").get("php")
    if isinstance(asked, str):
        yield Wish("composer.json: require.php", asked)


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name) or {}
    if not isinstance(found, dict):
        raise errors.BadInput(f'composer.json: {name} must be an object: {{"name": "value"}}')
    return found
