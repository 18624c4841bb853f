# SPDX-License-Identifier: Apache-2.0
"""Procfiles: one line `name: command` for each process; `release` is the release stage.

Called by `detect`; raises only BadInput.
"""

from __future__ import annotations

import re

from stackyard.model import errors

_LINE = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_PROCESSES = 50


def parse(text: str) -> dict[str, str]:
    """Return command lines by process name, as written."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if not match:
            raise errors.BadInput(f"Procfile, line {number}: write 'name: command'")
        _check(match[1], found, number)
        found[match[1]] = match[2].strip()
    if not found or len(found) > MAX_PROCESSES:
        raise errors.BadInput(
            f"Procfile: it must name 1 to {MAX_PROCESSES} processes; write for example 'web: python app.py'"
        )
    return found


def _check(name: str, found: dict[str, str], number: int) -> None:
    where = f"Procfile, line {number}"
    if not _LABEL.fullmatch(name):
        raise errors.BadInput(f"{where}: process name {name!r} must be small letters, digits and hyphens (a DNS label)")
    if name in found:
        raise errors.BadInput(f"{where}: process {name!r} is there twice")
