# SPDX-License-Identifier: Apache-2.0
"""The registry that an application runs for itself: where it answers, what it holds, telling it of replicas.

Used by the deployments of the worker. Whoever runs none costs nothing here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from stackyard.model import errors
from stackyard.model.applications import Deployment
from stackyard.model.plan.discovery import Announce, Registry
from stackyard.model.ports import Discovery, RunSeen
from stackyard.store import Store
from stackyard.worker.reconciler import Change


class Registries:
    """Registries of all environments, behind one port."""

    def __init__(self, store: Store, discovery: Discovery | None) -> None:
        self.store = store
        self.discovery = discovery
        self._service = functools.lru_cache(maxsize=1000)(self._of_release)

    def look(self, record: Deployment, runs: Sequence[RunSeen]) -> Registry | None:
        """Return the registry that is a service of the release; None while it is not there to be asked."""
        if self.discovery is None or not record.release:
            return None
        service = self._service(record.app_id, record.release)
        tasks = [task for run in runs if run.service == service for task in run.tasks]
        endpoint = next((task.endpoint for task in tasks if task.state == "running" and task.endpoint), None)
        if endpoint is None:
            return None
        try:
            return Registry(endpoint, self.discovery.registered(endpoint, record.workload_id))
        except errors.Unavailable:  # its own health check says so where people look
            return None

    def announce(self, record: Deployment, action: Announce) -> Change[Deployment]:
        """Tell the registry; what fails halfway is seen at the next look."""
        if self.discovery is None:
            return Change(record)
        for asked in action.put:
            self.discovery.register(action.endpoint, asked)
        for ident in action.drop:
            self.discovery.deregister(action.endpoint, ident)
        return Change(record, ("registered", action.describe()))

    def _of_release(self, app_id: str, number: int) -> str:
        with self.store.reading() as tx:
            return tx.releases.number(app_id, number).spec.registry
