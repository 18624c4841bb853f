# SPDX-License-Identifier: Apache-2.0
"""Quotas: what a project may have of a resource. Called by the container-infra API; creating takes from them.

A limit that is set counts at once, also one below what is in use: nothing is taken away, but nothing more is made.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackyard.intents.rules import APPLICATION, CLUSTER, Rules
from stackyard.model import errors
from stackyard.model.quotas import Quota
from stackyard.store import Page, Store

RESOURCES = (CLUSTER, APPLICATION)
"""What there are quotas of; Magnum has the first."""


class Quotas:
    """Intents on quotas."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.defaults: Mapping[str, int] = {CLUSTER: rules.max_clusters, APPLICATION: rules.max_applications}

    def list(self, project_id: str | None, page: Page) -> list[Quota]:
        """Return a page of the limits that were set (for a project, None: for all)."""
        with self.store.reading() as tx:
            if page.marker and not _is_listed(tx.quotas.numbered(page.marker), project_id):
                raise errors.NotFound(f"Quota could not be found: quota id {page.marker}.")
            return tx.quotas.listed(project_id, page)

    def find(self, project_id: str, resource: str) -> Quota:
        """Return the limit of a project, the default where none was set; raises NotFound for no such resource."""
        if resource not in self.defaults:
            raise errors.NotFound(f"there is no resource '{resource[:64]}'; there are: {', '.join(RESOURCES)}")
        with self.store.reading() as tx:
            found = tx.quotas.of(project_id, resource)
        default = self.defaults[resource]
        return found or Quota(project_id=project_id, resource=resource, hard_limit=default)

    def create(self, project_id: str, resource: str, limit: int) -> Quota:
        """Set a limit; raises Conflict when one was set before."""
        with self.store.transaction() as tx:
            return tx.quotas.set(project_id, resource, limit)

    def update(self, project_id: str, resource: str, limit: int) -> Quota:
        """Change a limit; raises NotFound where none was set."""
        with self.store.transaction() as tx:
            return tx.quotas.change(project_id, resource, limit)

    def delete(self, project_id: str, resource: str) -> None:
        """Go back to the default; raises NotFound where no limit was set."""
        with self.store.transaction() as tx:
            tx.quotas.unset(project_id, resource)


def _is_listed(quota: Quota | None, project_id: str | None) -> bool:
    return quota is not None and project_id in (None, quota.project_id)
