# SPDX-License-Identifier: Apache-2.0
"""Deployments: which release serves, and where. Called by the application-deployment API and by sibling intents."""

from __future__ import annotations

from stackyard.intents.rules import Rules, within
from stackyard.model import errors
from stackyard.model.applications import Application, Deployment, Release
from stackyard.model.clusters import Cluster
from stackyard.model.phase import Trigger
from stackyard.store import Store, Transaction


class Deployments:
    """Looks at deployments; their changes come with a release or a new scale."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, app: Application) -> Deployment | None:
        """Return the application's deployment; None before its first release."""
        with self.store.reading() as tx:
            return tx.deployments.of(app.id)

    def place(self, app: Application) -> Cluster | None:
        """Return the cluster that the application runs on; None before its first release or without a cluster."""
        with self.store.reading() as tx:
            deployment = tx.deployments.of(app.id)
            try:
                return tx.clusters.get(deployment.cluster_id) if deployment else None
            except errors.NotFound:
                return None


def current(tx: Transaction, app: Application) -> Release | None:
    """Return the release asked for, which is the one that serves unless a newer one is on its way; None without."""
    deployment = tx.deployments.of(app.id)
    return tx.releases.number(app.id, deployment.release) if deployment and deployment.release > 0 else None


def touch(tx: Transaction, deployment: Deployment, release: Release, message: str, rules: Rules) -> Deployment:
    """Ask the deployment for a release (the same one again: for its new scale); it has failed when out of time."""
    limit = within(rules.ready_seconds * max(1, len(release.spec.services)))
    return tx.deployments.change(deployment, Trigger.CHANGE, message, deadline=limit, release=release.number)
