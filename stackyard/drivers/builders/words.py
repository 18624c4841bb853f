# SPDX-License-Identifier: Apache-2.0
"""Commands that are written as one string. Used by what reads Compose files; raises only BadInput."""

from __future__ import annotations

import shlex

from stackyard.model import errors


def split(said: str, where: str) -> list[str]:
    """Return the words as a shell would split them."""
    try:
        return shlex.split(said)
    except ValueError as error:
        raise errors.BadInput(f"{where}: {said!r} can't be split into words: {error}") from None
