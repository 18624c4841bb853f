# SPDX-License-Identifier: Apache-2.0
"""Groups in Compose files: what is read, what is refused, and what a person is told."""

from __future__ import annotations

import pytest

from stackyard.drivers.builders import compose
from stackyard.model import errors
from stackyard.model.applications import AppSpec
from stackyard.model.groups import Group


def parse(group: str, replicas: int = 3, more: str = "", other: str = "web") -> AppSpec:
    text = f"""
services:
  db:
    image: mariadb:11.8
    deploy: {{replicas: {replicas}}}
    x-stackyard: {{group: {group}}}
    {more}
  {other}: {{image: "web:1"}}
"""
    return compose.parse(text, lambda path: "")


def test_a_group_is_a_service_that_says_so() -> None:
    db, web = sorted(parse("").services, key=lambda each: each.name)
    assert (db.group, db.replicas, web.group) == (Group(), 3, None)
    assert parse("{max_unavailable: 2, spread: true}", 5).services[0].group == Group(2, spread=True)


def test_the_ports_of_a_group_are_not_routed_and_that_is_told() -> None:
    spec = parse("{}", more='ports: ["3306"]')
    assert next(each for each in spec.services if each.group).port is None
    assert any("reached by its name" in note for note in spec.notes)


def test_an_even_number_of_members_is_told_to_bear_no_more() -> None:
    assert any("4 members bear no more failures at a time than 3" in note for note in parse("{}", 4).notes)
    assert parse("{}", 3).notes == ()


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("[]", "must be a mapping"),
        ("{quorum: 2}", "unknown key 'quorum'"),
        ("{max_unavailable: 0}", "must be a number from 1"),
        ("{max_unavailable: true}", "must be a number from 1"),
        ("{max_unavailable: 2}", "of 3 members at most 1"),
        ("{spread: maybe}", "must be true or false"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(group: str, said: str) -> None:
    with pytest.raises(errors.BadInput, match="service 'db'") as refused:
        parse(group)
    assert said in str(refused.value)


def test_the_name_of_a_member_is_taken() -> None:
    with pytest.raises(errors.BadInput, match="'db-2' has the name of a member of the group 'db'"):
        parse("{}", other="db-2")
    assert len(parse("{}", other="db-backup").services) == 2


def test_a_group_goes_on_running() -> None:
    text = "services: {db: {image: 'a:1', x-stackyard: {group: {}, stage: release}}}"
    with pytest.raises(errors.BadInput, match="does not go on running"):
        compose.parse(text, lambda path: "")
