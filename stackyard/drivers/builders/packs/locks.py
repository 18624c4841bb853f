# SPDX-License-Identifier: Apache-2.0
"""What is said of a lock file that is older than its manifest. Used by the language packs; knows no language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.model import errors


def disagrees(lock: str, manifest: str, why: str, cure: str) -> errors.BadInput:
    """Return the refusal: which files, in what they differ, and the command that cures."""
    return errors.BadInput(f"{lock} disagrees with {manifest}: {why}; run '{cure}' and push {lock}")


def table(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the table at a path of a lock file or manifest, an empty one where there is none."""
    for name in path:
        found = document.get(name)
        document = found if isinstance(found, dict) else {}
    return document
