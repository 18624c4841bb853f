# SPDX-License-Identifier: Apache-2.0
"""Variables in Compose values, `${NAME:-default}` and its relatives, as the Compose Specification has them.

Called by `compose` and for files. A build has no variables of its own: what has no default is an error that says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stackyard.model import errors

MAX_DEPTH = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


def interpolate(value: Any, variables: Mapping[str, str], where: str = "", cure: str = "") -> Any:
    """Return the value with variables replaced in all its strings (keys stay); raises BadInput naming the place.

    `cure` (with %s for the name) says what helps against a missing variable, where that is not a build's.
    """
    if isinstance(value, str):
        return _Text(value, variables, where, cure).replaced() if "$" in value else value
    if isinstance(value, list):
        return [interpolate(item, variables, f"{where}[{n}]", cure) for n, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: interpolate(item, variables, f"{where}.{key}".lstrip("."), cure) for key, item in value.items()}
    return value


class _Text:
    """One string being read from left to right."""

    def __init__(self, text: str, variables: Mapping[str, str], where: str, cure: str = "") -> None:
        self.text = text
        self.cure = cure
        self.variables = variables
        self.where = where
        self.at = 0

    def replaced(self) -> str:
        return self._until("", 0)

    def _until(self, end: str, depth: int) -> str:
        """Read up to `end` (a brace, or the end of the text) and past it."""
        if depth > MAX_DEPTH:
            raise self._wrong("variables are nested too deeply")
        done: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if char == end:
                return "".join(done)
            done.append(self._dollar(depth) if char == "$" else char)
        if end:
            raise self._wrong("a '${' is not closed by '}'")
        return "".join(done)

    def _dollar(self, depth: int) -> str:
        following = self.text[self.at : self.at + 1]
        if following == "$":
            self.at += 1
            return "$"
        braced = following == "{"
        self.at += braced
        match = _NAME.match(self.text, self.at)
        if not match:
            raise self._wrong("'$' begins a variable; write '$$' for a dollar sign")
        self.at = match.end()
        return self._braced(match[0], depth) if braced else self._value(match[0])

    def _braced(self, name: str, depth: int) -> str:
        match = _OPERATOR.match(self.text, self.at)
        self.at = match.end() if match else self.at
        word = self._until("}", depth + 1)
        if not match:
            if word:
                raise self._wrong(f"'${{{name}{word}}}' is no variable")
            return self._value(name)
        value = self.variables.get(name)
        given = value is not None and (bool(value) or not match[0].startswith(":"))
        return self._choose(name, match[0][-1], given, word)

    def _choose(self, name: str, operator: str, given: bool, word: str) -> str:
        if operator == "+" and not given:
            return ""
        if operator != "+" and given:
            return self.variables[name]
        if operator == "?":
            raise self._wrong(f"variable {name} is required: {word or 'it has no value'}")
        return word

    def _value(self, name: str) -> str:
        if name in self.variables:
            return self.variables[name]
        if self.cure:
            raise self._wrong(f"config has no {name}; {self.cure.replace('%s', name)}")
        cure = f"write ${{{name}:-value}}, or $${name} to mean it literally"
        raise self._wrong(f"variable {name} has no value when the application is built; {cure}")

    def _wrong(self, words: str) -> errors.BadInput:
        return errors.BadInput(f"{self.where}: {words}")
