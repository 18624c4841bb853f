# SPDX-License-Identifier: Apache-2.0
"""Environments: which release serves where. Called by the application-deployment API and by sibling intents.

An environment is a deployment of an application: its own cluster, config, scale and release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stackyard.intents.rules import living, usable, within
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, SEPARATOR, Application, Deployment, Release, host_label
from stackyard.model.clusters import Cluster
from stackyard.model.phase import ENDING, Phase, Trigger
from stackyard.model.records import Caller
from stackyard.store import Store, Transaction

DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_LABEL = 63
MAX_ENVIRONMENTS = 20


class Deployments:
    """Intents on environments; a change of what they serve comes with a release or a new scale."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def list(self, app: Application) -> Sequence[Deployment]:
        """Return the environments in the order in which releases go through them, production last."""
        with self.store.reading() as tx:
            return tx.deployments.all_of(app.id)

    def of(self, app: Application, environment: str = PRODUCTION) -> Deployment:
        """Return one environment; raises NotFound, naming those that there are."""
        with self.store.reading() as tx:
            return environment_of(tx, app, environment)

    def cluster(self, of: Deployment) -> Cluster | None:
        """Return the cluster that an environment is on; None where that is gone."""
        with self.store.reading() as tx:
            return tx.clusters.known(of.cluster_id)

    def add(self, caller: Caller, ident: str, name: str, cluster: str | None = None) -> Deployment:
        """Make an environment, empty until the first push or promotion, on a cluster (default: production's).

        Raises BadInput for a name that can't be part of a host name, Conflict for one that is taken.
        """
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            _check_name(tx, app, name)
            if len(tx.deployments.all_of(app.id)) >= MAX_ENVIRONMENTS:
                raise errors.Conflict(f"application {app.name} has {MAX_ENVIRONMENTS} environments, which is the limit")
            if cluster:
                place = usable(tx.clusters.find(cluster, caller.project_id)).id
            else:
                place = environment_of(tx, app).cluster_id
            return tx.deployments.insert(empty(app, place, name))

    def remove(self, caller: Caller, ident: str, name: str) -> None:
        """Ask for an environment to go, with its containers, volumes and config; its releases stay in the list."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, name)
            if name == PRODUCTION:
                raise errors.Conflict(f"production goes with the application only: stackyard destroy {app.name}")
            tx.deployments.change(deployment, Trigger.DELETE, "removal asked for")
            tx.builds.nudge_unfinished(app.id)


def environment_of(tx: Transaction, app: Application, name: str = PRODUCTION) -> Deployment:
    """Return an environment of an application; raises NotFound, naming those that there are."""
    found = tx.deployments.of(app.id, name)
    if found is None:
        known = ", ".join(each.environment for each in tx.deployments.all_of(app.id))
        raise errors.NotFound(f"application {app.name} has no environment '{name[:63]}'; it has: {known or 'none'}")
    return found


def empty(app: Application, cluster_id: str, environment: str = PRODUCTION) -> Deployment:
    """Return a new environment, in which nothing is to run yet."""
    return Deployment(
        project_id=app.project_id,
        name=host_label(app.name, environment),
        app_id=app.id,
        cluster_id=cluster_id,
        environment=environment,
        phase=Phase.READY,
        observed_generation=1,
    )


def current(tx: Transaction, deployment: Deployment) -> Release | None:
    """Return the release asked for, which is the one that serves unless a newer one is on its way; None without."""
    return tx.releases.number(deployment.app_id, deployment.release) if deployment.release > 0 else None


def staying(deployment: Deployment) -> Deployment:
    """Return an environment; raises Conflict where it is being removed."""
    if deployment.phase in ENDING:
        raise errors.Conflict(f"environment {deployment.environment} is being removed")
    return deployment


def adjust(tx: Transaction, deployment: Deployment, message: str, **fields: object) -> None:
    """Change what an environment is beside its release, whatever else is under way there; raises Conflict."""
    tx.deployments.adjust(staying(deployment), message, **fields)


def touch(
    tx: Transaction, deployment: Deployment, release: Release, message: str, ready_seconds: float, **fields: object
) -> Deployment:
    """Ask an environment for a release (the same one again: for its new scale); it has failed when out of time.

    A service may take `ready_seconds`. Raises Conflict where the environment is being removed.
    """
    staying(deployment)
    limit = within(ready_seconds * release.spec.starts)
    return tx.deployments.change(deployment, Trigger.CHANGE, message, deadline=limit, release=release.number, **fields)


def _check_name(tx: Transaction, app: Application, name: str) -> None:
    """Raise for a name that can't stand before the application's in a host name, or would be another's host."""
    if not DNS_LABEL.fullmatch(name) or SEPARATOR in name or name == "xn":
        raise errors.BadInput(
            "an environment's name must be small letters, digits and '-', not beginning or ending with '-', without "
            "'--', and not 'xn', which is reserved in host names"
        )
    taken = tx.deployments.of(app.id, name)
    if taken:
        ending = ", and it is being removed; try again when it is gone" if taken.phase in ENDING else ""
        raise errors.Conflict(f"application {app.name} has an environment {name} already{ending}")
    label = host_label(app.name, name)
    if len(label) > MAX_LABEL:
        raise errors.BadInput(f"{label} would be its host's name and is too long: at most {MAX_LABEL} characters")
    if any(other.name == label for other in tx.applications.list(app.project_id, name=label)):
        raise errors.Conflict(f"there is an application named {label}, which has that host; choose another name")
