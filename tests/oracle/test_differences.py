# SPDX-License-Identifier: Apache-2.0
"""The same requests to Magnum and to us: every difference is known and has a reason, or there is none."""

from __future__ import annotations

import pytest

from tests.oracle.answers import differences
from tests.oracle.known import KNOWN, reason_for
from tests.oracle.servers import Magnum, Ours
from tests.oracle.stories import STORIES
from tests.oracle.story import Order

_seen: set[str] = set()


@pytest.mark.parametrize("name", STORIES)
def test_answers_are_the_same(name: str, magnum: Magnum, ours: Ours) -> None:
    unknown = []
    for number, step in enumerate(STORIES[name], start=1):
        if isinstance(step, Order):
            magnum.obey(step)
            ours.obey(step)
            continue
        for difference in differences(magnum.ask(step), ours.ask(step)):
            known = reason_for(name, step, difference)
            if known is None:
                unknown.append(f"{number}. {step}\n      {step.body!r}\n      {difference}")
            else:
                _seen.add(known.name)
    assert not unknown, f"{len(unknown)} differences that nobody knows of:\n" + "\n".join(unknown)


def test_known_differences_are_all_there(request: pytest.FixtureRequest) -> None:
    """What is no difference any more must leave the list; told only when all stories ran."""
    if len([item for item in request.session.items if item.parent is request.node.parent]) > len(STORIES):
        assert {known.name for known in KNOWN} - _seen == set()
