# SPDX-License-Identifier: Apache-2.0
"""Applications: create, describe, scale, destroy. Called by the application-deployment API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.intents.deployments import DNS_LABEL, current, empty, environment_of, touch
from stackyard.intents.rules import APPLICATION, USABLE, Rules, living, usable, visible, who
from stackyard.model import errors
from stackyard.model.applications import (
    PRODUCTION,
    SEPARATOR,
    Application,
    Deployment,
    Release,
    Stage,
    project_label,
)
from stackyard.model.builds import Build
from stackyard.model.clusters import Cluster
from stackyard.model.phase import IN_PROGRESS, Trigger
from stackyard.model.records import Caller, Event
from stackyard.store import Page, Store, Transaction

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

    def progress(self, apps: Sequence[Application], environment: str = PRODUCTION) -> Progress:
        """Return what is under way for these applications: three small look-ups each, however long their history."""
        with self.store.reading() as tx:
            return _progress(tx, apps, environment)

    def events(self, app: Application, environment: str | None = None) -> Sequence[Event]:
        """Return the history of an application, its pushes, backups and environments (or one of them), oldest first."""
        with self.store.reading() as tx:
            newest = Page(limit=200, sort="number", descending=True)
            which = {"environment": environment} if environment else {}
            builds = tx.builds.list(None, newest, app_id=app.id, **which)
            backups = tx.backups.list(None, newest, app_id=app.id, **which)
            places = [environment_of(tx, app, environment)] if environment else tx.deployments.all_of(app.id)
            return tx.events.of([app.id, *(each.id for each in [*builds, *backups, *places])])

    def services(self, app: Application, environment: str = PRODUCTION) -> Sequence[str]:
        """Return the names of the services that an environment's release has; none before the first."""
        with self.store.reading() as tx:
            release = current(tx, environment_of(tx, app, environment))
            return [service.name for service in release.spec.services] if release else []

    def create(self, caller: Caller, values: Mapping[str, Any]) -> Application:
        """Write an application on a cluster; raises Conflict when the name is taken or no cluster is there."""
        name = values["name"]
        if not DNS_LABEL.fullmatch(name):
            raise errors.BadInput(
                "name must be a DNS label: 1 to 63 small letters, digits and '-', not beginning or ending with '-'"
            )
        if SEPARATOR in name:
            raise errors.BadInput(
                f"name must not contain '{SEPARATOR}': it stands between environment and application in host names"
            )
        with self.store.transaction() as tx:
            cluster = _cluster(tx, caller, values.get("cluster"))
            tx.quotas.take(caller.project_id, APPLICATION, self.rules.max_applications)
            app = Application(
                project_id=caller.project_id,
                project_name=_label(tx, caller, name),
                name=name,
                description=values.get("description") or "",
                extra={"user_id": caller.user_id},
            )
            tx.applications.insert(app)
            tx.deployments.insert(empty(app, cluster.id))
            return app

    def describe(self, caller: Caller, ident: str, description: str) -> Application:
        """Change the description."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            return tx.applications.change(app, Trigger.CHANGE, "description changed", description=description)

    def scale(self, caller: Caller, ident: str, wanted: Mapping[str, int], environment: str = PRODUCTION) -> Deployment:
        """Ask for numbers of replicas by service; raises BadInput for a service that the release has not."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, environment)
            release = current(tx, deployment)
            if release is None:
                raise errors.Conflict(nothing_yet(app, deployment))
            _check_scale(app, release, wanted)
            message = "scaled to " + ", ".join(f"{name}={count}" for name, count in sorted(wanted.items()))
            tx.deployments.note(deployment, "asked", f"{who(caller)} {message}")
            return touch(
                tx, deployment, release, message, self.rules.ready_seconds, scale={**deployment.scale, **wanted}
            )

    def destroy(self, caller: Caller, ident: str) -> None:
        """Ask for the application to go, with its containers, volumes, images and releases."""
        with self.store.transaction() as tx:
            app = visible(tx.applications, caller, ident)
            for deployment in tx.deployments.all_of(app.id):
                tx.deployments.change(deployment, Trigger.DELETE, "destroy asked for")
            for build in tx.builds.list(app_id=app.id):
                if build.phase in IN_PROGRESS:
                    tx.builds.change(build, Trigger.DELETE, "its application is to be destroyed")
            for job in tx.jobs.unfinished(app.id):
                tx.jobs.change(job, Trigger.DELETE, "its application is to be destroyed")
            tx.applications.change(app, Trigger.DELETE, f"{who(caller)} asked for its destruction")


class Progress:
    """The newest build, the deployment and the newest release number of applications, by application id."""

    def __init__(
        self, builds: Mapping[str, Build], deployments: Mapping[str, Deployment], releases: Mapping[str, Release]
    ) -> None:
        self.builds = builds
        self.deployments = deployments
        self.releases = releases


def _progress(tx: Transaction, apps: Sequence[Application], environment: str) -> Progress:
    newest = Page(limit=1, sort="number", descending=True)
    ours = [{"app_id": app.id, "environment": environment} for app in apps]
    builds = [build for which in ours for build in tx.builds.list(None, newest, **which)]
    releases = [release for which in ours for release in tx.releases.list(None, newest, **which)]
    deployments = [deployment for app in apps if (deployment := tx.deployments.of(app.id, environment))]
    return Progress(
        {build.app_id: build for build in builds},
        {deployment.app_id: deployment for deployment in deployments},
        {release.app_id: release for release in releases},
    )


def nothing_yet(app: Application, deployment: Deployment) -> str:
    """Return why nothing can be changed in an environment that has no release, and what to do first."""
    if deployment.environment == PRODUCTION:
        return f"application {app.name} has no release yet; push it first"
    return f"environment {deployment.environment} of {app.name} has no release yet; push or promote to it first"


def _cluster(tx: Transaction, caller: Caller, ident: str | None) -> Cluster:
    if ident:
        return usable(tx.clusters.find(ident, caller.project_id))
    clusters = [cluster for cluster in tx.clusters.list(caller.project_id) if cluster.phase in USABLE]
    if not clusters:
        raise errors.Conflict("the project has no cluster to run on; make one with: stackyard cluster create NAME")
    if len(clusters) > 1:
        names = ", ".join(sorted(cluster.name for cluster in clusters))
        raise errors.BadInput(f"the project has several clusters; name one of them as 'cluster': {names}")
    return clusters[0]


def _label(tx: Transaction, caller: Caller, name: str) -> str:
    """Return the project's label in the application's host name; the plain one may be that of another project."""
    label = project_label(caller.project_name) or caller.project_id[:8]
    others = tx.applications.list(None, name=name)
    if any(each.project_name == label and each.project_id != caller.project_id for each in others):
        return f"{label}-{caller.project_id[:8]}"
    return label


def _check_scale(app: Application, release: Release, wanted: Mapping[str, int]) -> None:
    stages = {service.name: service.stage for service in release.spec.services}
    names = [name for name, stage in stages.items() if stage is Stage.RUN]
    for name, count in wanted.items():
        if name in stages and name not in names:
            raise errors.BadInput(f"{name} does not go on running (its stage is {stages[name].value}): it has no scale")
        if name not in names:
            raise errors.BadInput(f"application {app.name} has no service '{name[:63]}'; it has: {', '.join(names)}")
        if not 0 <= count <= MAX_REPLICAS:
            raise errors.BadInput(f"{name} must be between 0 and {MAX_REPLICAS} replicas")
