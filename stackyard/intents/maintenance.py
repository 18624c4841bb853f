# SPDX-License-Identifier: Apache-2.0
"""Maintenance: what an environment's names answer instead of the application. Called by the API.

It stays over pushes, rollbacks and restarts, until it is taken off.
"""

from __future__ import annotations

from stackyard.intents.deployments import adjust, environment_of
from stackyard.intents.rules import living
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Maintenance
from stackyard.model.records import Caller
from stackyard.store import Store

MAX_TEXT = 500
MAX_PAGE = 23 * 1024


class MaintenancePages:
    """Intents on maintenance."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, caller: Caller, ident: str, wanted: Maintenance | None, environment: str = PRODUCTION) -> None:
        """Put an environment in maintenance, or (None) take it out; raises BadInput, NotFound, Conflict."""
        if wanted:
            _check(wanted)
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            deployment = environment_of(tx, app, environment)
            if deployment.maintenance != wanted:
                message = "put in maintenance" if wanted else "taken out of maintenance"
                adjust(tx, deployment, message, maintenance=wanted)


def _check(wanted: Maintenance) -> None:
    if len(wanted.text) > MAX_TEXT or any(ord(sign) < 32 for sign in wanted.text):
        raise errors.BadInput(f"the message must be one line of at most {MAX_TEXT} characters; use a page for more")
    if len(wanted.page.encode()) > MAX_PAGE:
        raise errors.BadInput(
            f"the page has {len(wanted.page.encode())} bytes; {MAX_PAGE} is the limit, styles included"
        )
