# SPDX-License-Identifier: Apache-2.0
"""Trusts: having users of a Keystone that runs as an application served, too. Called by the application-deployment API.

Whose users are served is the operator's to say; policy lets nobody else in here.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from typing import Any

from stackyard.intents.deployments import environment_of
from stackyard.intents.rules import living, visible
from stackyard.model import errors
from stackyard.model.applications import Application
from stackyard.model.ports import Secrets
from stackyard.model.records import Caller
from stackyard.model.trusts import Trust
from stackyard.store import Store, Transaction


class Trusts:
    """Intents on trusts."""

    def __init__(self, store: Store, secrets: Secrets) -> None:
        self.store = store
        self.secrets = secrets

    def of(self, app: Application) -> Trust:
        """Return an application's trust; raises NotFound where it has none."""
        with self.store.reading() as tx:
            found = tx.trusts.of(app.id)
        if found is None:
            raise errors.NotFound(f"the users of {app.name} are not served here")
        return found

    def put(self, caller: Caller, ident: str, wanted: dict[str, Any]) -> Trust:
        """Serve the users of the Keystone that an application is; raises BadInput, NotFound, Conflict."""
        if urllib.parse.urlsplit(wanted["auth_url"]).scheme not in ("http", "https"):
            raise errors.BadInput(
                "auth_url must be the URL of a Keystone, such as https://cloud.example.org/identity/v3"
            )
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            made = Trust(project_id=app.project_id, app_id=app.id, **wanted)
            if self._password(tx, made) is None:
                raise errors.BadInput(f"the config of {app.name} has no key {made.password_key}")
            return tx.trusts.put(made)

    def remove(self, caller: Caller, ident: str) -> None:
        """Serve its users no longer; what they have stays."""
        with self.store.transaction() as tx:
            app = visible(tx.applications, caller, ident)
            tx.trusts.forget(app.id)

    def opened(self) -> Sequence[tuple[Trust, str]]:
        """Return all trusts, each with the password that validates tokens; those without one are left out."""
        with self.store.reading() as tx:
            found = [(each, self._password(tx, each)) for each in tx.trusts.list()]
        return [(trust, password) for trust, password in found if password is not None]

    def _password(self, tx: Transaction, trust: Trust) -> str | None:
        deployment = environment_of(tx, tx.applications.get(trust.app_id))
        config = json.loads(self.secrets.open(deployment.config)) if deployment.config else {}
        return config.get(trust.password_key)
