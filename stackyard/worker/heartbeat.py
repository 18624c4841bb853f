# SPDX-License-Identifier: Apache-2.0
"""Reports to the database that this host's workers are at work; what `mservices` of the API and `status` show.

Started by each worker process. A database that does not answer is no reason to end: its silence is the report.
"""

from __future__ import annotations

import logging
import socket
import threading

from stackyard.model import errors
from stackyard.model.services import BEAT_SECONDS
from stackyard.store import Store

LOG = logging.getLogger(__name__)


def host_name() -> str:
    """Return what this host is called in reports."""
    return socket.gethostname()[:255]


class Heartbeat:
    """Beats every `seconds`, for as long as the process lives."""

    def __init__(self, store: Store, seconds: float = BEAT_SECONDS, host: str | None = None) -> None:
        self.store = store
        self.seconds = seconds
        self.host = host or host_name()
        self.stopping = threading.Event()

    def start(self) -> threading.Thread:
        """Begin to beat, in a thread of its own."""
        thread = threading.Thread(target=self.run, name="heartbeat", daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        """Beat until told to stop."""
        while not self.stopping.is_set():
            self.beat()
            self.stopping.wait(self.seconds)

    def beat(self) -> None:
        """Report once."""
        try:
            with self.store.saving() as tx:
                tx.services.beat(self.host)
        except errors.StackyardError as error:
            LOG.warning("can't report that this worker is at work: %s", error)
