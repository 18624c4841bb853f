# SPDX-License-Identifier: Apache-2.0
"""Compose `volumes` of a service: named volumes only. Called by `compose`; raises only BadInput."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from stackyard.model import errors
from stackyard.model.applications import Mount

_MODES = {"": False, "rw": False, "ro": True}


def mounts(asked: Sequence[Any], where: str) -> tuple[Mount, ...]:
    """Return the mounts of a service; no two have the same target."""
    found = [_long(entry, where) if isinstance(entry, dict) else _short(entry, where) for entry in asked]
    targets = [mount.target for mount in found]
    for target in targets:
        if targets.count(target) > 1:
            raise errors.BadInput(f"{where}: {target!r} is mounted on twice")
    return tuple(found)


def _short(entry: str, where: str) -> Mount:
    source, *rest = entry.split(":")
    if source.startswith(("/", ".", "~")) or "/" in source or "\\" in source:
        if not rest:
            raise errors.BadInput(f"{where}: volume {entry!r} has no name; write 'NAME:{entry}' and declare NAME")
        raise _bind(entry, where)
    if not 1 <= len(rest) <= 2 or (rest[1:] and rest[1] not in _MODES):
        raise errors.BadInput(f"{where}: {entry!r} is no volume; write 'data:/data' or 'data:/data:ro'")
    return _mount(source, rest[0], _MODES["".join(rest[1:])], where)


def _long(entry: dict[str, Any], where: str) -> Mount:
    kind = entry.get("type", "volume")
    if kind == "bind":
        raise _bind(str(entry.get("source", "")), where)
    if kind != "volume":
        raise errors.BadInput(f"{where}: unsupported type {kind!r}; only named volumes can be mounted")
    if not entry.get("source") or not entry.get("target"):
        raise errors.BadInput(f"{where}: a volume needs a source (its name) and a target")
    if entry["source"].startswith(("/", ".", "~")):
        raise _bind(entry["source"], where)
    return _mount(entry["source"], entry["target"], entry.get("read_only", False), where)


def _mount(volume: str, target: str, read_only: bool, where: str) -> Mount:
    normal = posixpath.normpath(target) if target else ""
    if not normal.startswith("/") or normal.strip("/") == "":
        raise errors.BadInput(f"{where}: target {target!r} of volume {volume!r} must be an absolute path other than /")
    return Mount(volume, "/" + normal.strip("/"), read_only)


def _bind(entry: str, where: str) -> errors.BadInput:
    return errors.BadInput(
        f"{where}: {entry!r} mounts a folder of the host, which differs from node to node;"
        " put the files into the image, or use a named volume such as 'data:/data'"
    )
