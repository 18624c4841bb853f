# SPDX-License-Identifier: Apache-2.0
"""Applications: create, describe, scale, destroy. Called by the application-deployment API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.intents.deployments import current, touch
from stackyard.intents.rules import APPLICATION, Rules, visible
from stackyard.model import errors
from stackyard.model.applications import Application, Deployment, Release
from stackyard.model.builds import Build
from stackyard.model.clusters import Cluster
from stackyard.model.phase import ENDING, IN_PROGRESS, Phase, Trigger
from stackyard.model.records import Caller, Event
from stackyard.store import Page, Store, Transaction

USABLE = frozenset({Phase.READY, Phase.CREATING, Phase.UPDATING, Phase.UPDATE_FAILED})
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_REPLICAS = 100


class Applications:
    """Intents on applications."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def list(self, caller: Caller, *, everywhere: bool = False) -> Sequence[Application]:
        """Return the project's applications by name; all projects' for admins who ask for it."""
        project = None if everywhere and caller.is_admin else caller.project_id
        with self.store.reading() as tx:
            return tx.applications.list(project, Page(sort="name"))

    def find(self, caller: Caller, ident: str) -> Application:
        """Return one by id or name; raises NotFound."""
        with self.store.reading() as tx:
            return visible(tx.applications, caller, ident)

    def projects_with(self, ident: str) -> set[str]:
        """Return the ids of the projects that have an application of this id or name; for those who sign in only."""
        with self.store.reading() as tx:
            return tx.applications.projects_with(ident)

    def progress(self, apps: Sequence[Application]) -> Progress:
        """Return what is under way for these applications: three small look-ups each, however long their history."""
        with self.store.reading() as tx:
            return _progress(tx, apps)

    def events(self, app: Application) -> Sequence[Event]:
        """Return the history of an application, its pushes and its deployment, oldest first."""
        with self.store.reading() as tx:
            newest = Page(limit=200, sort="number", descending=True)
            builds = [build.id for build in tx.builds.list(None, newest, app_id=app.id)]
            deployment = tx.deployments.of(app.id)
            return tx.events.of([app.id, *builds, *([deployment.id] if deployment else [])])

    def services(self, app: Application) -> Sequence[str]:
        """Return the names of the services that the application's release has; none before the first."""
        with self.store.reading() as tx:
            release = current(tx, app)
            return [service.name for service in release.spec.services] if release else []

    def create(self, caller: Caller, values: Mapping[str, Any]) -> Application:
        """Write an application on a cluster; raises Conflict when the name is taken or no cluster is there."""
        name = values["name"]
        if not DNS_LABEL.fullmatch(name):
            raise errors.BadInput(
                "name must be a DNS label: 1 to 63 small letters, digits and '-', not beginning or ending with '-'"
            )
        with self.store.transaction() as tx:
            cluster = _cluster(tx, caller, values.get("cluster"))
            tx.quotas.take(caller.project_id, APPLICATION, self.rules.max_applications)
            app = Application(
                project_id=caller.project_id,
                project_name=caller.project_name,
                name=name,
                description=values.get("description") or "",
                cluster_id=cluster.id,
                extra={"user_id": caller.user_id},
            )
            return tx.applications.insert(app)

    def describe(self, caller: Caller, ident: str, description: str) -> Application:
        """Change the description."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            return tx.applications.change(app, Trigger.CHANGE, "description changed", description=description)

    def scale(self, caller: Caller, ident: str, wanted: Mapping[str, int]) -> Application:
        """Ask for numbers of replicas by service; raises BadInput for a service that the release has not."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            release, deployment = current(tx, app), tx.deployments.of(app.id)
            if release is None or deployment is None:
                raise errors.Conflict(f"application {app.name} has no release yet; push it first")
            _check_scale(app, release, wanted)
            message = "scaled to " + ", ".join(f"{name}={count}" for name, count in sorted(wanted.items()))
            changed = tx.applications.change(app, Trigger.CHANGE, message, scale={**app.scale, **wanted})
            touch(tx, deployment, release, message, self.rules)
            return changed

    def destroy(self, caller: Caller, ident: str) -> None:
        """Ask for the application to go, with its containers, volumes, images and releases."""
        with self.store.transaction() as tx:
            app = visible(tx.applications, caller, ident)
            deployment = tx.deployments.of(app.id)
            if deployment:
                tx.deployments.change(deployment, Trigger.DELETE, "destroy asked for")
            for build in tx.builds.list(app_id=app.id):
                if build.phase in IN_PROGRESS:
                    tx.builds.change(build, Trigger.DELETE, "its application is to be destroyed")
            tx.applications.change(app, Trigger.DELETE, "destroy asked for")


class Progress:
    """The newest build, the deployment and the newest release number of applications, by application id."""

    def __init__(
        self, builds: Mapping[str, Build], deployments: Mapping[str, Deployment], releases: Mapping[str, Release]
    ) -> None:
        self.builds = builds
        self.deployments = deployments
        self.releases = releases


def _progress(tx: Transaction, apps: Sequence[Application]) -> Progress:
    newest = Page(limit=1, sort="number", descending=True)
    builds = [build for app in apps for build in tx.builds.list(None, newest, app_id=app.id)]
    releases = [release for app in apps for release in tx.releases.list(None, newest, app_id=app.id)]
    deployments = [deployment for app in apps if (deployment := tx.deployments.of(app.id))]
    return Progress(
        {build.app_id: build for build in builds},
        {deployment.app_id: deployment for deployment in deployments},
        {release.app_id: release for release in releases},
    )


def living(tx: Transaction, caller: Caller, ident: str) -> Application:
    """Return an application that nobody has asked to destroy; raises NotFound, Conflict."""
    app = visible(tx.applications, caller, ident)
    if app.phase in ENDING:
        raise errors.Conflict(f"application {app.name} is being destroyed")
    return app


def _cluster(tx: Transaction, caller: Caller, ident: str | None) -> Cluster:
    if ident:
        return _usable(tx.clusters.find(ident, caller.project_id))
    clusters = [cluster for cluster in tx.clusters.list(caller.project_id) if cluster.phase in USABLE]
    if not clusters:
        raise errors.Conflict("the project has no cluster to run on; make one with: stackyard cluster create NAME")
    if len(clusters) > 1:
        names = ", ".join(sorted(cluster.name for cluster in clusters))
        raise errors.BadInput(f"the project has several clusters; name one of them as 'cluster': {names}")
    return clusters[0]


def _usable(cluster: Cluster) -> Cluster:
    if cluster.phase not in USABLE:
        raise errors.Conflict(f"cluster {cluster.name} can't take applications: it is {cluster.phase.value}")
    return cluster


def _check_scale(app: Application, release: Release, wanted: Mapping[str, int]) -> None:
    names = [service.name for service in release.spec.services]
    for name, count in wanted.items():
        if name not in names:
            raise errors.BadInput(f"application {app.name} has no service '{name[:63]}'; it has: {', '.join(names)}")
        if not 0 <= count <= MAX_REPLICAS:
            raise errors.BadInput(f"{name} must be between 0 and {MAX_REPLICAS} replicas")
