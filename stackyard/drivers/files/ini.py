# SPDX-License-Identifier: Apache-2.0
"""INI files as oslo.config reads them, and what becomes of one with others laid over it.

An option that is there several times (MultiStrOpt) has all its values; a file laid over it replaces them all. The
result is written anew, without comments, so that only what a program sees makes two files different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from oslo_config import iniparser

from stackyard.model import errors

Options = dict[str, dict[str, list[str]]]
"""Values by option by section, in the order of their first appearance; lines of one value are joined by line ends."""


class _Parser(iniparser.BaseParser):  # type: ignore[misc]
    """Collects what a file says."""

    def __init__(self) -> None:
        self.found: Options = {}
        self.section = ""

    def new_section(self, section: str) -> None:
        """Begin (or go on with) a section."""
        self.section = section
        self.found.setdefault(section, {})

    def assignment(self, key: str, value: list[str]) -> None:
        """Add a value."""
        if not self.section:
            self._no_section(key)
        self.found[self.section].setdefault(key, []).append("\n".join(value))

    def _no_section(self, key: str) -> NoReturn:
        raise self.parse_exc("An option before the first section", self.lineno, key)


def parse(text: str, where: str) -> Options:
    """Return what an INI file says; raises BadInput with the line of what is wrong."""
    parser = _Parser()
    try:
        parser.parse(text.splitlines())
    except iniparser.ParseError as error:
        # The line itself may hold a secret.
        raise errors.BadInput(f"{where}, line {error.lineno}: {error.msg}") from None
    return parser.found


def merged(layers: Sequence[Options]) -> Options:
    """Return the options of all layers, those of later ones instead of those of earlier ones."""
    done: Options = {}
    for layer in layers:
        for section, options in layer.items():
            done.setdefault(section, {}).update(options)
    return done


def written(options: Options) -> str:
    """Return the file that says this, which reads back the same."""
    parts = []
    for section, found in options.items():
        lines = [f"{key} = {_value(value)}".rstrip() for key, values in found.items() for value in values]
        parts.append("\n".join([f"[{section}]", *lines]) + "\n")
    return "\n".join(parts)


def _value(value: str) -> str:
    """Return a value as it is read back: continued lines are indented, quotes that belong to it are quoted."""
    first, *rest = value.split("\n")
    quoted = f'"{first}"' if first and (first != first.strip() or _in_quotes(first)) else first
    return "\n    ".join([quoted, *rest])


def _in_quotes(text: str) -> bool:
    return text[0] == text[-1] and text[0] in "\"'"


def overlaid(texts: Sequence[str], where: str) -> str:
    """Return one INI file made of several, later ones winning; raises BadInput."""
    return written(merged([parse(text, where) for text in texts]))


def changed(before: str, after: str, where: str) -> list[dict[str, Any]]:
    """Return the options that differ between two INI files: section, option, and their values (None: not there)."""
    old, new = parse(before, where), parse(after, where)
    return [
        {"section": section, "option": key, "before": _one(old, section, key), "after": _one(new, section, key)}
        for section in dict.fromkeys([*old, *new])
        for key in dict.fromkeys([*old.get(section, {}), *new.get(section, {})])
        if _one(old, section, key) != _one(new, section, key)
    ]


def _one(options: Options, section: str, key: str) -> list[str] | None:
    return options.get(section, {}).get(key)
