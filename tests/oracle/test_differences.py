# SPDX-License-Identifier: Apache-2.0
"""The same requests to Magnum and to us: every difference is told of in the document, or there is none."""

from __future__ import annotations

import pytest

from tests.oracle.answers import differences
from tests.oracle.known import KNOWN, known
from tests.oracle.servers import ROOT, Magnum, Ours
from tests.oracle.stories import STORIES
from tests.oracle.story import Order, Story

DOCUMENT = ROOT / "docs" / "compatibility" / "container-infra.md"
_seen: dict[str, set[str]] = {}


@pytest.mark.parametrize("name", STORIES)
def test_answers_are_the_same(name: str, magnum: Magnum, ours: Ours) -> None:
    _seen[name] = set()
    unknown = list(_unknown(name, STORIES[name], magnum, ours))
    assert not unknown, f"{len(unknown)} differences that nobody knows of:\n" + "\n".join(unknown)


def test_each_known_difference_was_seen() -> None:
    if _seen.keys() == STORIES.keys():  # else only some stories were asked for
        assert {each.row for each in KNOWN} - set().union(*_seen.values()) == set()


def test_each_known_difference_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    assert [each.row for each in KNOWN if f"\n| {each.row}" not in text] == []


def _unknown(name: str, story: Story, magnum: Magnum, ours: Ours) -> list[str]:
    found = []
    for number, step in enumerate(story, start=1):
        if isinstance(step, Order):
            magnum.obey(step)
            ours.obey(step)
            continue
        for difference in differences(magnum.ask(step), ours.ask(step)):
            told = known(name, step, difference)
            if told:
                _seen[name].add(told.row)
            else:
                found.append(f"{number}. {step}\n      {step.body!r}\n      {difference}")
    return found
