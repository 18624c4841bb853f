# SPDX-License-Identifier: Apache-2.0
"""Compose `environment`, `args` and `env_file`: names and values. Called by `compose`; raises only BadInput."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from stackyard.model import errors

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*
        (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>(?:[^#\s]|(?<!\s)\#|[^\S\n]+(?!\#|\s|$))*))
        \s*(?:\#.*)?""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def pairs(asked: Any, where: str) -> dict[str, str]:
    """Return names and values of a mapping or of a list of NAME=VALUE."""
    if isinstance(asked, list):
        asked = {name: value if equals else None for name, equals, value in (item.partition("=") for item in asked)}
    done: dict[str, str] = {}
    for name, value in (asked or {}).items():
        if not _NAME.fullmatch(name):
            raise errors.BadInput(f"{where}: {name!r} is no name of a variable")
        if value is None:
            raise errors.BadInput(
                f"{where}: {name} has no value, and there is no shell here to take it from; write {name}="
            )
        done[name] = _text(value, f"{where}: {name}")
    return done


def env_files(asked: Any, where: str, read: Callable[[str], str]) -> dict[str, str]:
    """Return the variables of all files, later ones winning."""
    names: Sequence[str] = [asked] if isinstance(asked, str) else asked
    done: dict[str, str] = {}
    for name in names:
        done |= env_file(read(name), f"{where}: {name}")
    return done


def env_file(text: str, where: str) -> dict[str, str]:
    """Return the variables of one file: NAME=VALUE lines, quotes and comments as in Compose, without interpolation."""
    done: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise errors.BadInput(f"{where}, line {number}: write NAME=VALUE")
        done[match["name"]] = _unquoted(match)
    return done


def _unquoted(match: re.Match[str]) -> str:
    if match["single"] is not None:
        return match["single"]
    if match["double"] is not None:
        return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), match["double"])
    return match["plain"].strip()


def _text(value: Any, where: str) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if "\0" in text:
        raise errors.BadInput(f"{where}: a value must not contain a NUL character")
    return text
