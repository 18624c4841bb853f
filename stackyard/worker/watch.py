# SPDX-License-Identifier: Apache-2.0
"""Follows what happens to machines, so that a node which died is healed at once and not at the next periodic look.

One thread in each worker process. It only makes rows due; what is to be done, the loop sees for itself. Events that
the loop's own work causes cost one more look, and a node that dies again and again one look a second.
"""

from __future__ import annotations

import logging
import random
import threading
import time

from stackyard.model import errors
from stackyard.model.ports import Machines
from stackyard.store import Store
from stackyard.worker.spacing import Spacing

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0


class Watch:
    """Makes a cluster due when one of its machines starts, ends or goes."""

    def __init__(self, machines: Machines, store: Store) -> None:
        self.machines = machines
        self.store = store
        self._spacing = Spacing()

    def start(self) -> None:
        """Follow in a thread of its own, for as long as the process lives."""
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            self.follow()
            # One that lasted was none that can't be had: begin anew.
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            self._hasten(None, time.time())  # what happened meanwhile, nobody has told us

    def follow(self) -> None:
        """Make clusters due until the look-out ends, for whatever reason."""
        try:
            for cluster_id in self.machines.watch():
                self._hasten(cluster_id, self._spacing.next(cluster_id))
        except errors.Unavailable as reason:
            LOG.info("can't watch the machines now: %s", reason)
        except Exception:
            LOG.exception("watching the machines ended; it begins anew")

    def _hasten(self, cluster_id: str | None, at: float) -> None:
        try:
            with self.store.transaction() as tx:
                tx.clusters.hasten(cluster_id, at)
        except errors.Unavailable as reason:
            LOG.warning("a machine changed, and its cluster can't be told: %s", reason)
