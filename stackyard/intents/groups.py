# SPDX-License-Identifier: Apache-2.0
"""Clustered groups: what they are, and a person's word on which member begins one that was lost.

Called by the application-deployment API. The word counts for what is known of the group now, and for a while only.
"""

from __future__ import annotations

import dataclasses

from stackyard.intents.deployments import adjust, current, environment_of
from stackyard.intents.rules import living
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Deployment
from stackyard.model.groups import GroupState, Recovery, member_names
from stackyard.model.plan.members import state_of
from stackyard.model.records import Caller, utcnow
from stackyard.store import Store, Transaction


@dataclasses.dataclass(frozen=True)
class GroupKnown:
    """A group of the release asked for: its service's name, its members' names, and what is known of it."""

    name: str
    members: tuple[str, ...]
    state: GroupState


class Groups:
    """Intents on clustered groups."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def list(self, of: Deployment) -> list[GroupKnown]:
        """Return the groups of an environment, in the order of its release."""
        with self.store.reading() as tx:
            return groups_of(tx, of)

    def recover(self, caller: Caller, ident: str, group: str, member: str, environment: str = PRODUCTION) -> GroupKnown:
        """Have a lost group begun by a member; raises NotFound, BadInput for what is no member of it."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, environment)
            found = named(groups_of(tx, deployment), group)
            if member not in found.members:
                has = ", ".join(found.members) or "none"
                raise errors.BadInput(f"group {group} has no member {member[:63]!r}; it has: {has}")
            word = Recovery(member, found.state.epoch, utcnow())
            message = f"{member} is to begin group {group}, if that has no living member"
            adjust(tx, deployment, message, recoveries={**deployment.recoveries, group: word})
            return found


def groups_of(tx: Transaction, of: Deployment) -> list[GroupKnown]:
    """Return the groups of the release that an environment is to serve."""
    release = current(tx, of)
    services = [service for service in release.spec.services if service.group] if release else []
    sizes = {service.name: of.scale.get(service.name, service.replicas) for service in services}
    return [GroupKnown(name, member_names(name, size), state_of(of.groups, name)) for name, size in sizes.items()]


def named(groups: list[GroupKnown], name: str) -> GroupKnown:
    """Return the group of a name; raises NotFound, naming those that there are."""
    found = next((each for each in groups if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in groups)
        raise errors.NotFound(f"there is no group {name[:63]!r} here; there are: {known or 'none'}")
    return found
