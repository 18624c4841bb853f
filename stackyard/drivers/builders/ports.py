# SPDX-License-Identifier: Apache-2.0
"""Compose `ports`: which port of a service is led to by the router. Called by `compose`; raises only BadInput."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackyard.model import errors

_SHORT = re.compile(
    r"(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:]+\]):)?(?:(?P<published>\d*):)?(?P<target>\d+)(?:/(?P<protocol>\w+))?"
)
_RANGE = re.compile(r"\d+-\d+")


def target_port(asked: Sequence[Any], where: str) -> int | None:
    """Return the container's port of the first entry, None without entries; all entries must be right."""
    targets = [_target(entry, f"{where}, entry {number}") for number, entry in enumerate(asked, 1)]
    return targets[0] if targets else None


def claimed_twice(asked: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, str]]:
    """Yield each published port that several services ask for, with their names in words."""
    claims: dict[str, list[str]] = {}
    for name, entries in asked.items():
        for port in dict.fromkeys(filter(None, map(_published, entries))):
            claims.setdefault(port, []).append(repr(name))
    for port, names in claims.items():
        if len(names) > 1:
            yield port, f"services {', '.join(names[:-1])} and {names[-1]}"


def _published(entry: Any) -> str:
    if isinstance(entry, dict):
        return str(entry.get("published") or "")
    before = str(entry).partition("/")[0].split(":")[:-1]
    return before[-1] if before and before[-1].isdigit() else ""


def port_number(value: object, where: str) -> int:
    """Return a port from 1 to 65535."""
    text = str(value)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:7]) <= 65535:
        raise errors.BadInput(f"{where}: {text!r} is no port; ports are numbers from 1 to 65535")
    return int(text)


def _target(entry: Any, where: str) -> int:
    if isinstance(entry, dict):
        _check_protocol(entry.get("protocol", "tcp"), where)
        if "published" in entry and str(entry["published"]):
            port_number(entry["published"], where)
        return port_number(entry["target"], where)
    text = str(entry)
    if _RANGE.search(text):
        raise errors.BadInput(f"{where}: port ranges such as {text!r} are not supported; give single ports")
    match = _SHORT.fullmatch(text)
    if not match:
        raise errors.BadInput(f'{where}: {text!r} is no port; write "8000" or "8080:8000"')
    _check_protocol(match["protocol"] or "tcp", where)
    if match["published"]:
        port_number(match["published"], where)
    return port_number(match["target"], where)


def _check_protocol(protocol: str, where: str) -> None:
    if protocol != "tcp":
        raise errors.BadInput(f"{where}: unsupported protocol {protocol!r}; the router speaks HTTP over tcp")
