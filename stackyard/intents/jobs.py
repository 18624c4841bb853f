# SPDX-License-Identifier: Apache-2.0
"""Jobs that a caller asks for: one-off commands, and the history of all jobs. Called by the application API."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from stackyard.intents.applications import nothing_yet
from stackyard.intents.deployments import environment_of
from stackyard.intents.rules import Rules, living, within
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release, Service, Stage
from stackyard.model.jobs import Job, Kind
from stackyard.model.phase import Phase, Trigger
from stackyard.model.records import Caller, new_id
from stackyard.store import Store, Transaction

UNFINISHED = 20
"""So many one-off commands of an application may be under way."""


@dataclasses.dataclass(frozen=True)
class Command:
    """What a caller wants to run: `service` names whose image, config and volumes ("": the main one's).

    An `attached` one begins when somebody attaches to it, and ends when that connection breaks.
    """

    words: tuple[str, ...]
    service: str = ""
    terminal: bool = False
    attached: bool = False


class Jobs:
    """Intents on jobs."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def list(self, app: Application, environment: str | None = None) -> Sequence[Job]:
        """Return the newest jobs of an application (or of one of its environments), newest first."""
        with self.store.reading() as tx:
            found = tx.jobs.newest(app.id)
        return [job for job in found if environment in (None, job.environment)]

    def find(self, app: Application, ident: str) -> Job:
        """Return a job by number or id; raises NotFound."""
        with self.store.reading() as tx:
            return tx.jobs.meant(app.id, ident, "job")

    def run(self, caller: Caller, ident: str, command: Command, environment: str = PRODUCTION) -> Job:
        """Write a job of the release that serves; raises Conflict before there is one, BadInput for no service."""
        with self.store.transaction() as tx:
            app, of, release = serving(tx, caller, ident, environment)
            if len(_unfinished(tx, app, Kind.RUN)) >= UNFINISHED:
                raise errors.Conflict(f"{UNFINISHED} commands of {app.name} are under way, which is the limit")
            service = _service(release, command.service).name
            made = _job(tx, of, service, Kind.RUN, self.rules.job_seconds)
            asked = dataclasses.replace(made, name=f"run.{made.number}", command=command.words)
            return tx.jobs.insert(dataclasses.replace(asked, terminal=command.terminal, attached=command.attached))

    def check(self, caller: Caller, ident: str, environment: str = PRODUCTION) -> Sequence[Job]:
        """Write a job for each service of stage check of the release that serves; raises Conflict, BadInput."""
        with self.store.transaction() as tx:
            app, of, release = serving(tx, caller, ident, environment)
            under_way = _unfinished(tx, app, Kind.CHECK)
            if len(under_way) >= UNFINISHED:
                raise errors.Conflict(
                    f"{len(under_way)} checks of {app.name} are under way; wait until they have ended"
                )
            checks = [service.name for service in release.spec.services if service.stage is Stage.CHECK]
            if not checks:
                raise errors.BadInput(
                    f"release {release.number} of {app.name} has no checks; a check is a service that says"
                    " 'x-stackyard: {stage: check}'"
                )
            return [tx.jobs.insert(_job(tx, of, name, Kind.CHECK, self.rules.check_seconds)) for name in checks]

    def stop(self, job: Job, reason: str) -> None:
        """Ask for a job to end; one that has ended stays as it is."""
        with self.store.transaction() as tx:
            current = tx.jobs.get(job.id)
            if current.phase is Phase.CREATING and not current.stop:
                tx.jobs.change(current, Trigger.CHANGE, reason, deadline=current.deadline, stop=reason)

    def nudge(self, job: Job) -> None:
        """Have a job looked at now."""
        with self.store.transaction() as tx:
            tx.jobs.nudge(job.id)


def serving(tx: Transaction, caller: Caller, ident: str, name: str) -> tuple[Application, Deployment, Release]:
    """Return an application, its environment and the release that serves there; raises Conflict before there is one."""
    app = living(tx, caller, ident)
    of = environment_of(tx, app, name)
    if of.serving < 1:
        raise errors.Conflict(nothing_yet(app, of))
    return app, of, tx.releases.number(app.id, of.serving)


def _unfinished(tx: Transaction, app: Application, kind: Kind) -> list[Job]:
    return [job for job in tx.jobs.unfinished(app.id) if job.kind is kind]


def _job(tx: Transaction, of: Deployment, service: str, kind: Kind, seconds: float) -> Job:
    """Return a new job of the release that serves."""
    return Job(
        id=new_id(),
        project_id=of.project_id,
        name=f"{service} of release {of.serving}",
        app_id=of.app_id,
        number=tx.jobs.next_number(of.app_id),
        deployment_id=of.id,
        environment=of.environment,
        kind=kind,
        release=of.serving,
        service=service,
        deadline=within(seconds),
    )


def _service(release: Release, name: str) -> Service:
    """Return the service that is meant; without a name `web`, else the first that was built of the pushed code."""
    services = release.spec.services
    if not name:
        ours = [service for service in services if service.build] or list(services)
        return next((service for service in ours if service.name == "web"), ours[0])
    found = release.spec.named(name)
    if found is None:
        known = ", ".join(service.name for service in services)
        raise errors.BadInput(f"there is no service '{name[:63]}'; there are: {known}")
    return found
