# SPDX-License-Identifier: Apache-2.0
"""What a caller may ask. Each intent checks the rules and writes what was asked, in one transaction.

Called by the API only. Knows no HTTP and no driver: the worker makes it real afterwards. Whatever belongs
to another project is absent (NotFound); what the object's state forbids is a Conflict before anything is written.
"""

from __future__ import annotations

import dataclasses

from stackyard.intents.applications import Applications
from stackyard.intents.backups import Backups
from stackyard.intents.builds import Builds
from stackyard.intents.clusters import Clusters
from stackyard.intents.deployments import Deployments
from stackyard.intents.domains import Domains
from stackyard.intents.files import Files
from stackyard.intents.groups import Groups
from stackyard.intents.jobs import Jobs
from stackyard.intents.maintenance import MaintenancePages
from stackyard.intents.nodegroups import NodeGroups
from stackyard.intents.quotas import Quotas
from stackyard.intents.releases import Releases
from stackyard.intents.rolls import Rolls
from stackyard.intents.rules import Rules
from stackyard.intents.templates import Templates
from stackyard.intents.trusts import Trusts
from stackyard.model.offers import Offers
from stackyard.model.ports import Secrets
from stackyard.store import Store

__all__ = ["Intents", "Rules"]


@dataclasses.dataclass(frozen=True)
class Intents:
    """The intents of all nouns, and what they may name."""

    offers: Offers
    templates: Templates
    clusters: Clusters
    nodegroups: NodeGroups
    rolls: Rolls
    quotas: Quotas
    applications: Applications
    builds: Builds
    domains: Domains
    maintenance: MaintenancePages
    releases: Releases
    deployments: Deployments
    groups: Groups
    jobs: Jobs
    backups: Backups
    files: Files
    trusts: Trusts

    @classmethod
    def of(cls, store: Store, secrets: Secrets, rules: Rules) -> Intents:
        """Build them on one store."""
        return cls(
            offers=rules.offers,
            templates=Templates(store, rules),
            clusters=Clusters(store, rules),
            nodegroups=NodeGroups(store, rules),
            rolls=Rolls(store, rules),
            quotas=Quotas(store, rules),
            applications=Applications(store, rules),
            builds=Builds(store, secrets, rules),
            domains=Domains(store, secrets, rules),
            maintenance=MaintenancePages(store),
            releases=Releases(store, secrets, rules),
            deployments=Deployments(store),
            groups=Groups(store),
            jobs=Jobs(store, rules),
            backups=Backups(store, rules),
            files=Files(store, secrets, rules),
            trusts=Trusts(store, secrets),
        )
