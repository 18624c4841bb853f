# SPDX-License-Identifier: Apache-2.0
"""Releases that a caller makes: rolling back, promoting and changing config. Called by the application-deployment API.

A release never changes, so all of these write a new one: a rollback copies an older release of the same
environment, a promotion takes the images of another environment's, a change of config copies the one that serves.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from stackyard.intents.applications import nothing_yet
from stackyard.intents.deployments import current, environment_of, staying, touch
from stackyard.intents.domains import claimed
from stackyard.intents.hiding import hidden
from stackyard.intents.rules import Rules, living, who
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release
from stackyard.model.phase import Trigger
from stackyard.model.ports import Secrets
from stackyard.model.records import Caller, new_id, utcnow
from stackyard.store import Store, Transaction

NONE: Mapping[str, str] = {}
MAX_KEYS = 500
"""Secret values are masked as long as one of so many of the environment's newest releases has them."""


class Releases:
    """Intents on releases and on the config that they carry."""

    def __init__(self, store: Store, secrets: Secrets, rules: Rules) -> None:
        self.store = store
        self.secrets = secrets
        self.rules = rules

    def list(self, app: Application, environment: str | None = None) -> Sequence[Release]:
        """Return the releases of an application, or those made for one environment, newest first."""
        with self.store.reading() as tx:
            if environment:
                environment_of(tx, app, environment)
            return tx.releases.newest(app.id, environment)

    def find(self, app: Application, ident: str) -> Release:
        """Return a release by number or id; raises NotFound."""
        with self.store.reading() as tx:
            return tx.releases.meant(app.id, ident, "release")

    def deploy(self, caller: Caller, ident: str, which: str, environment: str = PRODUCTION) -> Release:
        """Ask for an older release to serve in an environment, as a new one of the same images.

        One that was made for this environment comes back with its config (a rollback); of another's, only the
        images are taken, and the environment keeps its own config (a promotion).
        """
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, environment)
            old = tx.releases.meant(app.id, which, "release")
            tx.deployments.note(deployment, "asked", f"{who(caller)} asked for release {old.number} again")
            if old.environment != environment:
                return self._promote(tx, deployment, old)
            return self._add(
                tx,
                deployment,
                old,
                f"rollback to release {old.number}",
                config=old.config,
                secret_keys=old.secret_keys,
                overlays=old.overlays,
                skips=True,
            )

    def promote(self, caller: Caller, ident: str, source: str | None, environment: str) -> Release:
        """Ask for the release that serves in environment `source` (None: the one before) to serve in another."""
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, environment)
            giving = environment_of(tx, app, source or _before(tx, app, environment))
            if giving.id == deployment.id:
                raise errors.BadInput(f"{environment} can't be promoted to itself; name another environment")
            if giving.serving < 1:
                raise errors.Conflict(f"nothing serves in {giving.environment} yet: {nothing_yet(app, giving)}")
            said = f"{who(caller)} promoted release {giving.serving} of {giving.environment}"
            tx.deployments.note(deployment, "asked", said)
            return self._promote(tx, deployment, tx.releases.number(app.id, giving.serving))

    def config(self, sealed: str | None) -> dict[str, str]:
        """Return config in clear."""
        return dict(json.loads(self.secrets.open(sealed))) if sealed else {}

    def shown(self, of: Deployment) -> dict[str, str | None]:
        """Return an environment's config for people: None in place of a secret's value."""
        return {key: None if key in of.secret_keys else value for key, value in self.config(of.config).items()}

    def hidden(self, of: Deployment) -> Sequence[str]:
        """Return the secret values that an environment has or had lately, which are to be masked."""
        with self.store.reading() as tx:
            return hidden(tx, self.secrets, of)

    def configure(
        self,
        caller: Caller,
        ident: str,
        changes: Mapping[str, str | None],
        secret: Collection[str] = (),
        environment: str = PRODUCTION,
        copies: Mapping[str, str] = NONE,
    ) -> Release | None:
        """Set (or with None unset) config; return the new release, None when nothing has been released yet.

        Keys in `secret` are secrets from now on; what is a secret stays one until it is unset. Keys in `copies` get
        the values that other keys had before, and are secrets where those are. Raises BadInput for what is not there.
        """
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, environment)
            before = self.config(deployment.config)
            merged = {**before, **changes, **_copied(before, copies)}
            secret = {*secret, *(key for key, source in copies.items() if source in deployment.secret_keys)}
            config = {key: value for key, value in merged.items() if value is not None}
            if len(config) > MAX_KEYS:
                raise errors.BadInput(f"config can't have more than {MAX_KEYS} keys")
            fields: dict[str, Any] = {
                "config": self.secrets.seal(json.dumps(config, sort_keys=True)) if config else None,
                "secret_keys": tuple(sorted({*deployment.secret_keys, *secret} & config.keys())),
            }
            message = _summary({**changes, **copies})
            tx.deployments.note(deployment, "asked", f"{who(caller)} changed {message}")
            release = current(tx, deployment)
            if release:
                return self._add(tx, deployment, release, message, **fields)
            tx.deployments.change(staying(deployment), Trigger.CHANGE, message, **fields)
            return None

    def lay(self, tx: Transaction, of: Deployment, overlays: str | None, summary: str) -> Release | None:
        """Give an environment other overlays of its files; return the new release, None when none has been made yet."""
        release = current(tx, of)
        if release:
            return self._add(tx, of, release, summary, overlays=overlays)
        tx.deployments.change(staying(of), Trigger.CHANGE, summary, overlays=overlays)
        return None

    def _promote(self, tx: Transaction, to: Deployment, old: Release) -> Release:
        summary = f"promote release {old.number} of {old.environment}"
        kept: dict[str, Any] = {"config": to.config, "secret_keys": to.secret_keys, "overlays": to.overlays}
        return self._add(tx, to, old, summary, **kept)

    def _add(
        self, tx: Transaction, to: Deployment, old: Release, summary: str, *, skips: bool = False, **fields: object
    ) -> Release:
        """Write a release like an old one but for config and secret keys, and ask the environment for it."""
        number = tx.releases.next_number(to.app_id)
        release = dataclasses.replace(
            old,
            id=new_id(),
            number=number,
            environment=to.environment,
            summary=summary,
            skips_stage=skips,
            created_at=utcnow(),
            **fields,  # type: ignore[arg-type]
        )
        if any(service.domains for service in release.spec.services):
            for domain in claimed(tx, tx.applications.get(to.app_id), release, self.rules.domain):
                tx.domains.put(domain)
        tx.releases.insert(release)
        touch(tx, to, release, f"release {number}: {summary}", self.rules.ready_seconds, **fields)
        return release


def _before(tx: Transaction, app: Application, environment: str) -> str:
    """Return the environment that releases come from: the one made before; production is behind all others."""
    order = [each.environment for each in tx.deployments.all_of(app.id)]
    at = order.index(environment)
    if at == 0:
        raise errors.BadInput(f"there is no environment before {environment}; name one to promote from")
    return order[at - 1]


def _copied(before: Mapping[str, str], copies: Mapping[str, str]) -> dict[str, str]:
    """Return new values by key, all of them as they were before; raises BadInput."""
    lacking = sorted(source for source in copies.values() if source not in before)
    if lacking:
        raise errors.BadInput(f"config has no {', '.join(lacking)}, whose value is to be taken")
    return {key: before[source] for key, source in copies.items()}


def _summary(changes: Mapping[str, str | None]) -> str:
    done = [f"{'unset' if value is None else 'set'} {key}" for key, value in sorted(changes.items())]
    return "config: " + ", ".join(done[:10]) + (" …" if len(done) > 10 else "")
