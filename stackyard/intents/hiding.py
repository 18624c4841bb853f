# SPDX-License-Identifier: Apache-2.0
"""Taking an environment's secrets out of its log lines: where the API sends them, and where a worker keeps them."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence

from stackyard.model import errors
from stackyard.model.applications import Deployment
from stackyard.model.logs import LogLine
from stackyard.model.masking import mask, parts
from stackyard.model.ports import Secrets
from stackyard.store import Store, Transaction

FRESH_SECONDS = 0.2
"""A changed config is known before a container that has it can say anything: starting one takes longer."""
REMEMBERED = 10
"""Of how many releases the secrets are masked: containers of earlier ones may still be draining."""


class Hiding:
    """Masks the secrets that an environment has, and those that are set while its log is followed."""

    def __init__(self, store: Store, secrets: Secrets, deployment_id: str) -> None:
        self._store = store
        self._secrets = secrets
        self._deployment_id = deployment_id
        self._parts: list[str] = []
        self._generation = -1
        self._looked = 0.0

    def __call__(self, line: LogLine) -> LogLine:
        """Return the line with `****` in place of secrets."""
        if time.monotonic() - self._looked > FRESH_SECONDS:
            self._look()
            self._looked = time.monotonic()
        return dataclasses.replace(line, text=mask(line.text, self._parts)) if self._parts else line

    def _look(self) -> None:
        with self._store.reading() as tx:
            try:
                of = tx.deployments.get(self._deployment_id)
            except errors.NotFound:  # what is being removed may still say its last words
                return
            if of.generation != self._generation:
                self._parts = parts(hidden(tx, self._secrets, of))
                self._generation = of.generation


def hidden(tx: Transaction, secrets: Secrets, of: Deployment) -> list[str]:
    """Return the secret values that an environment has or had lately, which are to be masked."""
    had = tx.releases.newest(of.app_id, of.environment)[:REMEMBERED]
    kept = {(each.config, each.secret_keys) for each in had if each.secret_keys}
    kept.add((of.config, of.secret_keys))
    return sorted({value for sealed, keys in kept for value in secret_values(secrets, sealed, keys)})


def secret_values(secrets: Secrets, sealed: str | None, keys: Sequence[str]) -> list[str]:
    """Return the values of a sealed config that are secrets."""
    if not sealed or not keys:
        return []
    return [value for key, value in json.loads(secrets.open(sealed)).items() if key in keys]
