# SPDX-License-Identifier: Apache-2.0
"""The collector: follows the log of each application once, and keeps its lines beyond the containers' lives.

What it hears of containers on the way makes their deployment due: a replica that died leaves the route at once.

Started by each worker process; an application's lines are kept by one of them at a time (the port LogStore sees to
that), and by another one as soon as that ends. Each beginning goes on behind the last line kept of each container.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.intents.hiding import Hiding
from stackyard.model import errors
from stackyard.model.clusters import Cluster
from stackyard.model.logs import LogLine
from stackyard.model.phase import ENDING
from stackyard.model.ports import ClusterAccess, FollowedLog, LogKeeper, LogStore, Workloads
from stackyard.store import Store
from stackyard.worker.spacing import Spacing

LOG = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
INBOX_SECONDS = 0.05
PAUSE_SECONDS = 5.0
TIDY_SECONDS = 60.0

Hide = Callable[[LogLine], LogLine]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where an application's lines come from: the deployment whose secrets are taken out, and its cluster."""

    deployment_id: str
    access: ClusterAccess


class Keeping:
    """The keeping of one application's lines, by a thread of its own; `over` when it has ended, with its `reason`."""

    def __init__(self, app_id: str, origin: Origin, keeper: LogKeeper, workloads: Workloads, hide: Hide) -> None:
        self.origin = origin
        self.over = threading.Event()
        self.reason = ""
        self._app_id = app_id
        self._keeper = keeper
        self._workloads = workloads
        self._hide = hide
        self._stop = threading.Event()
        self._stream: FollowedLog | None = None
        self._tidied = time.monotonic()
        threading.Thread(target=self._run, name=f"keep-{app_id[:8]}", daemon=True).start()

    def stop(self) -> None:
        """End it, soon; safe from any thread."""
        self._stop.set()
        if self._stream is not None:
            self._stream.close()

    def changed(self) -> bool:
        """Tell whether a container began, ended or was found ill or well since this was asked last."""
        return self._stream is not None and self._stream.changed()

    def take_in(self) -> None:
        """Pass on what other processes handed in."""
        if self._stream is not None and not self.over.is_set():
            lines = self._keeper.handed_in()
            if lines:
                self._stream.add(lines)

    def _run(self) -> None:
        try:
            self._keep()
        except errors.StackyardError as error:
            self.reason = str(error)
        except Exception:
            LOG.exception("keeping the log of %s ended", self._app_id)
            self.reason = "an error of the platform"
        finally:
            self.over.set()
            self._keeper.close()

    def _keep(self) -> None:
        found = self._workloads.logs(self.origin.access, self._app_id, follow=True, after=self._keeper.state)
        if not isinstance(found, FollowedLog):
            raise errors.GiveUp("these workloads can't be followed")
        self._stream = found
        with contextlib.closing(found):
            while not self._stop.is_set():
                lines = found.poll(LOOK_SECONDS)
                if lines or time.monotonic() - self._tidied > TIDY_SECONDS:
                    self._keeper.write([self._hide(line) for line in lines])
                    self._tidied = time.monotonic()


class Collector:
    """Keeps what all applications log, as far as no other process does."""

    def __init__(self, store: Store, authorities: Authorities, workloads: Workloads, logs: LogStore) -> None:
        self._store = store
        self._authorities = authorities
        self._workloads = workloads
        self._logs = logs
        self._keepings: dict[str, Keeping] = {}
        self._paused: dict[str, float] = {}
        self._there: frozenset[str] = frozenset()
        self._spacing = Spacing()
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin, in threads of its own."""
        for call, seconds in ((self.look, LOOK_SECONDS), (self.take_in, INBOX_SECONDS)):
            threading.Thread(target=self._repeat, args=(call, seconds), name="collector", daemon=True).start()

    def stop(self) -> None:
        """End all keeping."""
        self._stop.set()
        for keeping in list(self._keepings.values()):
            keeping.stop()

    def look(self) -> None:
        """Begin to keep what is new, end and delete what is gone, begin anew where the nodes of a cluster changed."""
        kept = self._logs.ids()  # before the look at who is there: one that comes meanwhile must not lose its lines
        wanted = self._wanted()
        for app_id, keeping in list(self._keepings.items()):
            if keeping.over.is_set():
                self._ended(app_id, keeping)
            elif wanted.get(app_id) != keeping.origin:
                keeping.stop()
        for app_id, origin in wanted.items():
            if app_id not in self._keepings and self._paused.get(app_id, 0.0) <= time.monotonic():
                self._begin(app_id, origin)
        for app_id in kept:
            if app_id not in self._there:
                self._logs.delete(app_id)

    def take_in(self) -> None:
        """Pass on what other processes handed in, and have a deployment looked at whose containers changed."""
        for keeping in list(self._keepings.values()):
            with contextlib.suppress(errors.StackyardError):
                keeping.take_in()
                if keeping.changed():
                    self._hasten(keeping.origin.deployment_id)

    def _hasten(self, deployment_id: str) -> None:
        with self._store.transaction() as tx:
            tx.deployments.hasten(deployment_id, self._spacing.next(deployment_id))

    def _repeat(self, call: Callable[[], None], seconds: float) -> None:
        while not self._stop.wait(seconds):
            try:
                call()
            except errors.StackyardError as reason:
                LOG.warning("can't see whose logs to keep: %s", reason)
            except Exception:
                LOG.exception("a look at the logs to keep ended")

    def _wanted(self) -> dict[str, Origin]:
        with self._store.reading() as tx:
            everything = tx.deployments.list()
            deployments = [each for each in everything if each.release > 0 and each.phase not in ENDING]
            clusters = {ident: tx.clusters.known(ident) for ident in {each.cluster_id for each in deployments}}
        self._there = frozenset(each.workload_id for each in everything)
        access = {ident: self._access(cluster) for ident, cluster in clusters.items()}
        found = ((each, access[each.cluster_id]) for each in deployments)
        return {each.workload_id: Origin(each.id, there) for each, there in found if there is not None}

    def _access(self, cluster: Cluster | None) -> ClusterAccess | None:
        try:
            return self._authorities.reach(cluster)
        except errors.StackyardError:
            return None

    def _begin(self, app_id: str, origin: Origin) -> None:
        try:
            keeper = self._logs.keeper(app_id)
        except errors.Conflict:
            return
        except errors.StackyardError as reason:
            self._pause(app_id, str(reason))
            return
        hide = Hiding(self._store, self._authorities.secrets, origin.deployment_id)
        self._keepings[app_id] = Keeping(app_id, origin, keeper, self._workloads, hide)

    def _ended(self, app_id: str, keeping: Keeping) -> None:
        del self._keepings[app_id]
        if keeping.reason:
            self._pause(app_id, keeping.reason)

    def _pause(self, app_id: str, reason: str) -> None:
        LOG.warning("the log of %s is not kept for %.0f s: %s", app_id, PAUSE_SECONDS, reason)
        self._paused[app_id] = time.monotonic() + PAUSE_SECONDS
