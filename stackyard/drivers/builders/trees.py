# SPDX-License-Identifier: Apache-2.0
"""A source tree as detectors read it: bounded texts of files within it, links not followed out of it.

Used by `detect` and `packs`. Raises only BadInput.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import tomllib
from typing import Any

from stackyard.model import errors

MAX_TEXT = 1024 * 1024
MAX_LOCK = 32 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Tree:
    """The folder of one application."""

    folder: pathlib.Path

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name, within the tree."""
        path = self.folder / name
        return path.is_file() and path.resolve().is_relative_to(self.folder.resolve())

    def first(self, *names: str) -> str | None:
        """Return the first of these names that is a file."""
        return next((name for name in names if self.has(name)), None)

    def text(self, name: str, limit: int = MAX_TEXT) -> str:
        """Return a file's text; raises BadInput when it is absent, outside, too large or not UTF-8."""
        if not self.has(name):
            raise errors.BadInput(f"there is no file {name!r} in the source tree")
        path = self.folder / name
        if path.stat().st_size > limit:
            raise errors.BadInput(f"{name} is larger than {limit} bytes")
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise errors.BadInput(f"{name} is not UTF-8 text; save it as UTF-8") from None

    def source(self, name: str) -> str:
        """Return the text of a source file for a search in it: what can't be decoded is replaced."""
        with (self.folder / name).open("rb") as file:
            return file.read(MAX_TEXT).decode("utf-8", "replace")

    def lock(self, name: str) -> str:
        """Return the text of a lock file, which may be large."""
        return self.text(name, MAX_LOCK)

    def json(self, name: str, limit: int = MAX_TEXT) -> dict[str, Any]:
        """Return the object in a JSON file."""
        try:
            found = json.loads(self.text(name, limit))
        except (ValueError, RecursionError) as error:
            raise errors.BadInput(f"{name} is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise errors.BadInput(f"{name} must hold an object: {{...}}")
        return found

    def toml(self, name: str, limit: int = MAX_TEXT) -> dict[str, Any]:
        """Return the table in a TOML file."""
        try:
            return tomllib.loads(self.text(name, limit))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise errors.BadInput(f"{name} is no TOML: {error}") from error

    def line(self, name: str, pattern: str) -> tuple[int, re.Match[str]] | None:
        """Return the first line of a file that a pattern is found in: its number and the match."""
        for number, line in enumerate(self.text(name).splitlines(), 1):
            if match := re.search(pattern, line):
                return number, match
        return None
