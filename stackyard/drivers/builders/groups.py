# SPDX-License-Identifier: Apache-2.0
"""Clustered groups of a Compose file: `x-stackyard: {group: {…}}` beside `deploy.replicas`.

Called by `compose`; raises only BadInput. What a group's image must be able to do is in docs/groups.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackyard.model import errors
from stackyard.model.applications import Service, Stage
from stackyard.model.groups import Group, is_member_name

KEYS = ("max_unavailable", "spread")
EXAMPLE = "write for example group: {} or group: {max_unavailable: 1, spread: true}"
LONGEST_NAME = 59
"""A member's name, the group's with its number, is a DNS label too."""


def group(asked: Mapping[str, Any], service: str) -> Group | None:
    """Return how a service is a group; None where it is none; `asked` is its `x-stackyard`."""
    if "group" not in asked:
        return None
    where, said = f"x-stackyard.group of service {service!r}", asked["group"]
    if said is None:
        return Group()
    if not isinstance(said, dict):
        raise errors.BadInput(f"{where} must be a mapping; {EXAMPLE}")
    for key in said:
        if key not in KEYS:
            raise errors.BadInput(f"unknown key {str(key)[:60]!r} in {where}; it takes {' and '.join(KEYS)}")
    count, spread = said.get("max_unavailable", 1), said.get("spread", False)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise errors.BadInput(f"{where}: max_unavailable must be a number from 1")
    if not isinstance(spread, bool):
        raise errors.BadInput(f"{where}: spread must be true or false")
    return Group(count, spread)


def check(services: Mapping[str, Service]) -> None:
    """Raise for groups that could not run, or whose members' names are taken."""
    for service in services.values():
        if service.group:
            _check(service, service.group, services)


def _check(service: Service, asked: Group, services: Mapping[str, Service]) -> None:
    where = f"service {service.name!r}"
    if service.stage is not Stage.RUN:
        raise errors.BadInput(f"{where} is a group and does not go on running; remove its stage, or the group")
    if len(service.name) > LONGEST_NAME:
        raise errors.BadInput(f"{where}: the name of a group is at most {LONGEST_NAME} characters, for its members'")
    if service.domains:
        raise errors.BadInput(f"{where} is a group, which other services reach by name; remove its domains")
    spare = (service.replicas - 1) // 2
    if asked.max_unavailable > max(1, spare):
        raise errors.BadInput(
            f"x-stackyard.group of {where}: of {service.replicas} members at most {max(1, spare)} can be taken away"
            f" while a majority stays; lower max_unavailable"
        )
    taken = next((name for name in services if is_member_name(name, service.name)), None)
    if taken:
        raise errors.BadInput(f"service {taken!r} has the name of a member of the group {service.name!r}; rename it")


def notes(services: Iterable[Service]) -> tuple[str, ...]:
    """Return what a person should know of the groups."""
    even = [each for each in services if each.group and each.replicas and each.replicas % 2 == 0]
    return tuple(
        f"group {each.name!r}: {each.replicas} members bear no more failures at a time than {each.replicas - 1} do;"
        " an odd number is better"
        for each in even
    )
