# SPDX-License-Identifier: Apache-2.0
"""Releases that a caller makes: rolling back and changing config. Called by the application-deployment API.

A release never changes, so both write a new one: a rollback copies an older release, a change of config
copies the one that serves.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from stackyard.intents.applications import living
from stackyard.intents.deployments import current, touch
from stackyard.intents.rules import Rules
from stackyard.model import errors
from stackyard.model.applications import Application, Release
from stackyard.model.phase import Trigger
from stackyard.model.ports import Secrets
from stackyard.model.records import Caller, new_id, utcnow
from stackyard.store import Store, Transaction

MAX_KEYS = 500


class Releases:
    """Intents on releases and on the config that they carry."""

    def __init__(self, store: Store, secrets: Secrets, rules: Rules) -> None:
        self.store = store
        self.secrets = secrets
        self.rules = rules

    def list(self, app: Application) -> Sequence[Release]:
        """Return all releases of an application, newest first."""
        with self.store.reading() as tx:
            return tx.releases.newest(app.id)

    def find(self, app: Application, ident: str) -> Release:
        """Return a release by number or id; raises NotFound."""
        with self.store.reading() as tx:
            return tx.releases.meant(app.id, ident, "release")

    def rollback(self, caller: Caller, ident: str, to: str) -> Release:
        """Write a new release with the services and config of an older one, and ask for it to serve."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            old = tx.releases.meant(app.id, to, "release")
            release = self._add(tx, app, old, f"rollback to release {old.number}", old.config)
            tx.applications.change(app, Trigger.CHANGE, release.summary, config=old.config)
            return release

    def config(self, sealed: str | None) -> dict[str, str]:
        """Return config in clear."""
        return dict(json.loads(self.secrets.open(sealed))) if sealed else {}

    def configure(self, caller: Caller, ident: str, changes: Mapping[str, str | None]) -> Release | None:
        """Set (or with None unset) config; return the new release, None when nothing has been released yet."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            merged = {**self.config(app.config), **changes}
            config = {key: value for key, value in merged.items() if value is not None}
            if len(config) > MAX_KEYS:
                raise errors.BadInput(f"config can't have more than {MAX_KEYS} keys")
            sealed = self.secrets.seal(json.dumps(config, sort_keys=True)) if config else None
            message = _summary(changes)
            tx.applications.change(app, Trigger.CHANGE, message, config=sealed)
            serving = current(tx, app)
            return self._add(tx, app, serving, message, sealed) if serving else None

    def _add(self, tx: Transaction, app: Application, old: Release, summary: str, config: str | None) -> Release:
        deployment = tx.deployments.of(app.id)
        if deployment is None:
            raise errors.Conflict(f"application {app.name} has no release yet; push it first")
        number = tx.releases.next_number(app.id)
        release = dataclasses.replace(
            old, id=new_id(), number=number, config=config, summary=summary, created_at=utcnow()
        )
        tx.releases.insert(release)
        touch(tx, deployment, release, f"release {number}: {summary}", self.rules)
        return release


def _summary(changes: Mapping[str, str | None]) -> str:
    done = [f"{'unset' if value is None else 'set'} {key}" for key, value in sorted(changes.items())]
    return "config: " + ", ".join(done[:10]) + (" …" if len(done) > 10 else "")
