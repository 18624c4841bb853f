# SPDX-License-Identifier: Apache-2.0
"""The differences from Magnum that are meant, each with its reason; the same list as the document's."""

from __future__ import annotations

import dataclasses
import re

from tests.oracle.answers import Difference
from tests.oracle.story import Ask


@dataclasses.dataclass(frozen=True)
class Known:
    """A difference that is meant. `story`, `ask` and `where` are patterns of the whole of what they name."""

    name: str
    here: str
    there: str
    why: str
    where: str
    ask: str = ".*"
    story: str = ".*"


KNOWN: tuple[Known, ...] = ()


def reason_for(story: str, ask: Ask, difference: Difference) -> Known | None:
    """Return what is known of a difference, if anything."""
    for known in KNOWN:
        pairs = ((known.story, story), (known.ask, str(ask)), (known.where, difference.where))
        if all(re.fullmatch(pattern, text) for pattern, text in pairs):
            return known
    return None
