# SPDX-License-Identifier: Apache-2.0
"""Applications: there is nothing to do for a living one; an unwanted one goes with all its images and sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.model.applications import Application
from stackyard.model.phase import ENDING, Phase, Trigger
from stackyard.model.plan import Action, Wait
from stackyard.model.ports import GitRepositories, Registry, Sources, Vault
from stackyard.store import Store, Transaction
from stackyard.store.applications import Applications as Rows
from stackyard.worker.reconciler import Change, Passive

QUOTA = "Application"


@dataclasses.dataclass(frozen=True)
class RemoveArtifacts(Action):
    """Remove images and source archives."""

    digests: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ForgetBackups(Action):
    """Ask for its backups to go."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What still stands in the way of an application's end."""

    dependents: int = 0
    backups: int = 0
    digests: tuple[str, ...] = ()


def image_prefix(app: Application) -> str:
    """Return where an application's images are in the registry: nobody else's repository begins so."""
    return f"{app.project_id}/{app.name}/"


class Applications(Passive):
    """The noun application for the loop."""

    def __init__(
        self, store: Store, registry: Registry, sources: Sources, repositories: GitRepositories, vault: Vault
    ) -> None:
        self.store = store
        self.registry = registry
        self.sources = sources
        self.repositories = repositories
        self.vault = vault

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of applications."""
        return tx.applications

    def observe(self, record: Application) -> Seen:
        """Look for deployments and builds under way, and for archives of this application alone."""
        if record.phase not in ENDING:
            return Seen()
        with self.store.reading() as tx:
            builds = tx.builds.list(app_id=record.id)
            busy = [build for build in builds if build.phase in (Phase.CREATING, Phase.DELETING)]
            dependents = len(tx.deployments.list(app_id=record.id)) + len(busy) + len(tx.jobs.unfinished(record.id))
            backups = tx.backups.list(app_id=record.id)
            asked = sum(each.phase not in ENDING for each in backups)
            own = {build.observed.digest or build.source.digest for build in builds} - {""}
            used = tx.builds.digests_elsewhere(record.id)
        return Seen(dependents + len(backups), asked, tuple(sorted(own - used)))

    def plan(self, record: Application, seen: Seen) -> Sequence[Action]:
        """Wait for deployments, then remove what was made for the application."""
        if record.phase not in ENDING:
            return []
        if seen.backups:
            return [ForgetBackups()]
        if seen.dependents:
            return [Wait("waiting for its environments to be removed", 0.2)]
        return [] if record.extra.get("cleared") else [RemoveArtifacts(seen.digests)]

    def act(self, action: Action, record: Application, seen: Seen) -> Change[Application] | None:
        """Remove images, archives, the git repository, and what is left of backups."""
        if isinstance(action, ForgetBackups):
            self._forget_backups(record)
            return None
        self.registry.delete(image_prefix(record))
        for digest in seen.digests:
            self.sources.delete(digest)
        self.repositories.delete(record.id)
        self.vault.delete(record.id)
        cleared = dataclasses.replace(record, extra={**record.extra, "cleared": True})
        return Change(cleared, ("removed", "removed its images and sources"))

    def _forget_backups(self, record: Application) -> None:
        with self.store.transaction() as tx:
            for each in tx.backups.list(app_id=record.id):
                if each.phase not in ENDING:
                    tx.backups.change(each, Trigger.DELETE, "its application is to be destroyed")

    def removed(self, record: Application, tx: Transaction) -> None:
        """Give the quota back."""
        tx.quotas.give_back(record.project_id, QUOTA)
