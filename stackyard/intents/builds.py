# SPDX-License-Identifier: Apache-2.0
"""Pushes: one attempt to make a release of one revision. Called by the application-deployment API."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.intents.buildpacks import Chosen, changes, choose
from stackyard.intents.deployments import environment_of, staying
from stackyard.intents.rules import Rules, living, who, within
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application
from stackyard.model.builds import Build, Source
from stackyard.model.phase import IN_PROGRESS
from stackyard.model.ports import Secrets
from stackyard.model.records import Caller
from stackyard.model.sources import without_password
from stackyard.store import Store
from stackyard.store.builds import unchanged


def described(source: Source) -> str:
    """Return what is pushed, for history."""
    if source.rebase:
        return "the images of the release that serves, to be rebased"
    if source.repository:
        revision = f" at {source.revision}" if source.revision else ""
        return f"{without_password(source.repository)}{revision}"
    return f"commit {source.revision[:12]}" if source.revision else f"a folder ({source.digest[:12]})"


def _of(app: Application, source: Source) -> Source:
    """Return a source to be built by what its application has chosen."""
    return dataclasses.replace(source, buildpacks=app.buildpacks, sealed_buildpacks=app.sealed_buildpacks)


class Builds:
    """Intents on builds."""

    def __init__(self, store: Store, secrets: Secrets, rules: Rules) -> None:
        self.store = store
        self.secrets = secrets
        self.rules = rules

    def push(
        self, caller: Caller, ident: str, source: Source, environment: str = PRODUCTION, buildpacks: Chosen = None
    ) -> Build:
        """Write a build; one that another push of the application is ahead of waits for it (the worker sees to it).

        `buildpacks` are the application's from now on; None leaves them as they are. Raises BadInput.
        """
        with self.store.transaction() as tx:
            app = choose(tx, self.secrets, living(tx, caller, ident), buildpacks)
            staying(environment_of(tx, app, environment))
            number = tx.builds.next_number(app.id)
            build = Build(
                project_id=app.project_id,
                name=f"{app.name}-{number}",
                app_id=app.id,
                number=number,
                source=_of(app, self._without_secrets(source)),
                environment=environment,
                deadline=within(self.rules.build_seconds),
            )
            made = tx.builds.insert(build)
            tx.builds.note(made, "pushed", f"{who(caller)} pushed {described(source)}: push {number}")
            return made

    def rebase(self, caller: Caller, ident: str, environment: str = PRODUCTION) -> Build:
        """Write a build that moves a release to the newest of its stacks; raises Conflict before the first."""
        with self.store.reading() as tx:
            app = living(tx, caller, ident)
            if environment_of(tx, app, environment).release < 1:
                raise errors.Conflict(f"application {app.name} has no release in {environment} yet; push it first")
        return self.push(caller, ident, Source(rebase=True), environment)

    def unchanged(
        self, app: Application, source: Source, environment: str = PRODUCTION, buildpacks: Chosen = None
    ) -> Build | None:
        """Return the push whose release serves, where a push of this source would make the same again; else None."""
        if source.force or not source.digest or changes(app, buildpacks):
            return None
        with self.store.reading() as tx:
            if tx.builds.newest_unfinished(app.id, environment):
                return None
            return unchanged(tx, _of(app, source), app.id, environment)

    def _without_secrets(self, source: Source) -> Source:
        shown = without_password(source.repository)
        if shown == source.repository:
            return source
        return dataclasses.replace(source, repository=shown, sealed=self.secrets.seal(source.repository))

    def list(self, app: Application) -> Sequence[Build]:
        """Return the pushes of an application, newest first."""
        with self.store.reading() as tx:
            return sorted(tx.builds.list(app_id=app.id), key=lambda build: -build.number)

    def find(self, app: Application, ident: str) -> Build:
        """Return a push of the application by id or number; raises NotFound."""
        with self.store.reading() as tx:
            return tx.builds.meant(app.id, ident, "workflow")

    def output(self, build: Build, start: int) -> tuple[Sequence[tuple[int, str]], bool]:
        """Return pieces of the log from number `start` on, and whether more may come."""
        with self.store.reading() as tx:
            # The phase is read before the log: once it is final, the log read after it is whole.
            growing = tx.builds.get(build.id).phase in IN_PROGRESS
            return tx.builds.log(build.id, start), growing
