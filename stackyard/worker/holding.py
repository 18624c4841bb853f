# SPDX-License-Identifier: Apache-2.0
"""Services that are scaled to nothing while their volumes are replaced, and get their replicas back.

Called by the noun backup.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackyard.intents.deployments import touch
from stackyard.model.backups import Backup
from stackyard.model.phase import ENDING
from stackyard.store import Store, Transaction


class Holding:
    """Scales services of a backup's environment; `ready_seconds` is what one may take to come back."""

    def __init__(self, store: Store, ready_seconds: float) -> None:
        self.store = store
        self.ready_seconds = ready_seconds

    def release(self, record: Backup, held: Mapping[str, int | None], words: str) -> None:
        """Give back what is still taken: who scaled it meanwhile has the last word."""
        with self.store.transaction() as tx:
            of = tx.deployments.of(record.app_id, record.environment)
            taken = {name: number for name, number in held.items() if of and of.scale.get(name) == 0 != number}
            if taken:
                self.scale(tx, record, taken, words)

    def scale(self, tx: Transaction, record: Backup, wanted: Mapping[str, int | None], words: str) -> None:
        """Ask for numbers of replicas by service (None: what the release says), of an environment that stays."""
        of = tx.deployments.of(record.app_id, record.environment)
        if of is None or of.phase in ENDING or of.release < 1:
            return
        scale = {**of.scale, **wanted}
        kept = {name: number for name, number in scale.items() if number is not None}
        touch(tx, of, tx.releases.number(of.app_id, of.release), words, self.ready_seconds, scale=kept)
