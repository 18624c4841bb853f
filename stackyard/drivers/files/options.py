# SPDX-License-Identifier: Apache-2.0
"""Checks of INI files against the options that a program knows, by oslo.config's own validator.

What `oslo-config-generator --format yaml` (or json) writes is reduced to the names when a source is read. The
validator is run as a program, as its documentation has it. Raises only BadInput.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

from stackyard.drivers.files import ini
from stackyard.model import errors

SECONDS = 60
_TOLD = 10
_COMPLAINT = re.compile(r"^ERROR:[^:]*:(?P<words>.*)$", re.MULTILINE)
_PARTS = ("name", "dest")


def reduced(document: Any, where: str) -> str:
    """Return the names in what a generator wrote (decoded) as JSON, in the same shape; raises BadInput."""
    try:
        known = {group: {"opts": _names(said["opts"])} for group, said in document["options"].items()}
        old = {group: _names(said) for group, said in (document.get("deprecated_options") or {}).items()}
    except (KeyError, TypeError, AttributeError):
        raise errors.BadInput(f"{where} is not what 'oslo-config-generator --format yaml' writes") from None
    return json.dumps({"options": known, "deprecated_options": old}, sort_keys=True)


def _names(said: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{part: str(option[part]) for part in _PARTS if option.get(part)} for option in said]


def check(known: str, text: str, where: str) -> None:
    """Accept an INI file (a template) all of whose options are known; raises BadInput naming those that are not."""
    names = {
        section: {key: ["x"] for key in found} for section, found in ini.parse(text, where).items()
    }  # no value, which may be a secret, leaves this process
    with tempfile.TemporaryDirectory(prefix="options-") as folder:
        data, asked = pathlib.Path(folder, "options.json"), pathlib.Path(folder, "asked.conf")
        data.write_text(known)
        asked.write_text(ini.written(names))
        command = [sys.executable, "-m", "oslo_config.validator", "--opt-data", str(data), "--input-file", str(asked)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise errors.BadInput(f"{where}: checking its options took more than {SECONDS} s") from None
    unknown = [found["words"].strip() for found in _COMPLAINT.finditer(done.stderr)]
    if unknown:
        more = [f"and {len(unknown) - _TOLD} more"] if len(unknown) > _TOLD else []
        raise errors.BadInput(f"{where}: {'; '.join(unknown[:_TOLD] + more)}")
    if done.returncode:
        raise errors.BadInput(f"{where}: oslo.config's validator failed: {done.stderr.strip()[-200:]}")
