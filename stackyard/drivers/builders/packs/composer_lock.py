# SPDX-License-Identifier: Apache-2.0
"""Whether composer.lock still belongs to composer.json. Called by `php`. Pure.

As Composer does: a package that is not locked, or locked in a version that is not asked for, ends it; any other change
since is only told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from stackyard.drivers.builders import ranges
from stackyard.drivers.builders.packs.locks import disagrees, table

_RELEVANT = (
    *("name", "version", "require", "require-dev", "conflict", "replace", "provide", "minimum-stability"),
    *("prefer-stable", "repositories", "extra"),
)
_ALL_NUMBERS = 4
_STRICT = re.compile(r"!=|<>|>(?!=)")


def check(lock: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Raise BadInput naming the first required package that is locked in no version that is asked for."""
    locked = _versions(lock)
    for name, wanted in table(manifest, "require").items():
        if "/" not in name:  # the platform itself: php, ext-…
            continue
        if name.lower() not in locked:
            raise disagrees("composer.lock", "composer.json", f"it has no {name}", f"composer update {name}")
        version = locked[name.lower()]
        if not _allows(str(wanted), version):
            why = f"it has {name} {version} where {wanted} is asked for"
            raise disagrees("composer.lock", "composer.json", why, f"composer update {name}")


def is_stale(lock: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    """Tell whether composer.json was changed after it was locked."""
    kept = lock.get("content-hash")
    return isinstance(kept, str) and kept != content_hash(manifest)


def content_hash(manifest: Mapping[str, Any]) -> str:
    """Return what Composer keeps as `content-hash`: MD5 of PHP's JSON of what counts (Locker::getContentHash)."""
    relevant = {name: manifest[name] for name in _RELEVANT if name in manifest}
    platform = table(manifest, "config").get("platform")
    if platform is not None:
        relevant["config"] = {"platform": platform}
    text = json.dumps(_as_php(dict(sorted(relevant.items()))), separators=(",", ":")).replace("/", "\\/")
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _as_php(value: Any) -> Any:
    """Return a value as PHP's arrays keep it: there, an empty object is an empty list."""
    if isinstance(value, dict):
        return {name: _as_php(each) for name, each in value.items()} or []
    return [_as_php(each) for each in value] if isinstance(value, list) else value


def _versions(lock: Mapping[str, Any]) -> dict[str, str]:
    """Return versions by package; of what a package stands for besides (provide, replace) the version is not told."""
    found: dict[str, str] = {}
    packages = lock.get("packages")
    for package in packages if isinstance(packages, list) else []:
        if not isinstance(package, dict):
            continue
        found |= {name.lower(): "" for kind in ("provide", "replace") for name in table(package, kind)}
    for package in packages if isinstance(packages, list) else []:
        if isinstance(package, dict):
            found[str(package.get("name", "")).lower()] = str(package.get("version", ""))
    return found


def _allows(wanted: str, version: str) -> bool:
    """Tell whether a version is asked for; branches, aliases and stabilities are left to Composer."""
    if not version or version.startswith("dev-") or version.endswith("-dev") or "dev-" in wanted or " as " in wanted:
        return True
    if _STRICT.search(wanted):  # `ranges` takes 1.2.5 for a 1.2 here, which it is not more than
        return True
    numbers = (*ranges.version(version), 0, 0, 0)[:_ALL_NUMBERS]
    try:
        return ranges.allows(wanted.partition("@")[0], numbers, _ALL_NUMBERS, tilde_last=True)
    except ValueError:
        return True
