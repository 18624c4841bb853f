# SPDX-License-Identifier: Apache-2.0
"""Backups that a caller asks for, and what is asked of them. Called by the application-deployment API."""

from __future__ import annotations

from collections.abc import Sequence

from stackyard.intents.jobs import serving
from stackyard.intents.rules import Rules, living, within
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release, Service, Stage
from stackyard.model.backups import HISTORY, Backup, BackupRule, Form, Wish
from stackyard.model.phase import ENDING, IN_PROGRESS, Phase, Trigger
from stackyard.model.records import Caller
from stackyard.store import Store, Transaction


class Backups:
    """Intents on backups."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def list(self, app: Application, environment: str | None = None) -> Sequence[Backup]:
        """Return the backups of an application (or of one of its environments), newest first."""
        with self.store.reading() as tx:
            return [each for each in tx.backups.newest(app.id) if environment in (None, each.environment)]

    def find(self, app: Application, ident: str) -> Backup:
        """Return a backup by number or id; raises NotFound."""
        with self.store.reading() as tx:
            return tx.backups.meant(app.id, ident, "backup")

    def create(self, caller: Caller, ident: str, service: str = "", environment: str = PRODUCTION) -> Sequence[Backup]:
        """Write a backup of a service (by default of each that says how it is backed up); raises BadInput, Conflict."""
        with self.store.transaction() as tx:
            app, of, release = serving(tx, caller, ident, environment)
            chosen = _chosen(release, service)
            if len(tx.backups.newest(app.id)) + len(chosen) > HISTORY:
                raise errors.Conflict(f"{app.name} has {HISTORY} backups, which is the limit; delete some")
            return [self._insert(tx, of, each) for each in chosen]

    def verify(self, caller: Caller, ident: str, which: str) -> Backup:
        """Ask for a backup to be restored beside the service and checked there; raises Conflict where it can't be."""
        return self._ask(caller, ident, which, Wish.VERIFY)

    def restore(self, caller: Caller, ident: str, which: str) -> Backup:
        """Ask for the service to be given what a backup holds; raises Conflict where it can't be."""
        return self._ask(caller, ident, which, Wish.RESTORE)

    def delete(self, caller: Caller, ident: str, which: str) -> None:
        """Ask for a backup to go; raises Conflict while it is being restored, which must not stop half way."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            found = tx.backups.meant(app.id, which, "backup")
            if found.phase is Phase.UPDATING and found.wish is Wish.RESTORE:
                raise errors.Conflict(f"backup {found.number} is being restored; wait until that is over")
            if found.phase not in ENDING:
                tx.backups.change(found, Trigger.DELETE, "removal asked for")

    def _ask(self, caller: Caller, ident: str, which: str, wish: Wish) -> Backup:
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            found = tx.backups.meant(app.id, which, "backup")
            _, _, release = serving(tx, caller, app.id, found.environment)
            _check_made(found)
            _check_service(found, release)
            _check_free(tx, app.id, found.environment, found.service)
            limit = within(self.rules.backup_seconds)
            return tx.backups.change(
                found, Trigger.CHANGE, f"{wish} asked for", deadline=limit, wish=wish, moved=0, release=release.number
            )

    def _insert(self, tx: Transaction, of: Deployment, service: Service) -> Backup:
        _check_free(tx, of.app_id, of.environment, service.name)
        number = tx.backups.next_number(of.app_id)
        return tx.backups.insert(
            Backup(
                project_id=of.project_id,
                name=f"{service.name} {number}",
                app_id=of.app_id,
                number=number,
                environment=of.environment,
                service=service.name,
                form=(service.backup or BackupRule()).form,
                release=of.serving,
                deadline=within(self.rules.backup_seconds),
            )
        )


def _chosen(release: Release, name: str) -> Sequence[Service]:
    """Return the services to back up; raises BadInput where there is nothing to back up."""
    running = [service for service in release.spec.services if service.stage is Stage.RUN]
    if not name:
        declared = [service for service in running if service.backup]
        if declared:
            return declared
        having = ", ".join(service.name for service in running if service.mounts and not service.group)
        raise errors.BadInput(
            f"no service of release {release.number} says how it is backed up ('x-stackyard: {{backup: ...}}');"
            f" name one with volumes: {having or 'there is none'}"
        )
    found = release.spec.named(name)
    if found is None or found.stage is not Stage.RUN:
        known = ", ".join(service.name for service in running)
        raise errors.BadInput(f"there is no service '{name[:63]}'; there are: {known}")
    if not found.backup and (found.group or not found.mounts):
        what = "is a group" if found.group else "has no volumes"
        raise errors.BadInput(f"{name} {what}; say with 'x-stackyard: {{backup: ...}}' how it is dumped and restored")
    return [found]


def _check_made(found: Backup) -> None:
    if found.phase in ENDING:
        raise errors.Conflict(f"backup {found.number} is being deleted")
    if found.phase in IN_PROGRESS:
        raise errors.Conflict(f"backup {found.number} is being worked on; wait until that is over")
    if not found.made:
        raise errors.Conflict(f"backup {found.number} was not made: {found.status_reason or 'it failed'}")


def _check_service(found: Backup, release: Release) -> None:
    service = release.spec.named(found.service)
    if service is None:
        raise errors.Conflict(f"release {release.number}, which serves, has no service {found.service}")
    if found.form is Form.DUMP and not (service.backup and service.backup.restore):
        raise errors.Conflict(f"{found.service} of release {release.number} does not say how a dump of it is restored")


def _check_free(tx: Transaction, app_id: str, environment: str, service: str) -> None:
    busy = tx.backups.busy(app_id, environment, service)
    if busy:
        raise errors.Conflict(f"backup {busy.number} of {service} is being worked on; wait until that is over")
