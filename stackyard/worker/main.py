# SPDX-License-Identifier: Apache-2.0
"""The worker's processes: `python -m stackyard.worker.main`. Each takes due rows and works on several at a time.

Started and restarted by whatever supervises the platform; may be killed at any moment.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from typing import Any

import cotyledon

from stackyard import assembly, conf
from stackyard.drivers.discovery.consul import ConsulDiscovery
from stackyard.drivers.routers.access import AccessLog
from stackyard.drivers.workloads.members import SwarmMembers
from stackyard.model import errors
from stackyard.model.records import Lease, Record
from stackyard.store.wake import Ear
from stackyard.worker.applications import Applications
from stackyard.worker.backups import Backups, Means
from stackyard.worker.builds import Builds, Workshop
from stackyard.worker.clusters import Clusters
from stackyard.worker.collector import Collector
from stackyard.worker.cron import Cron
from stackyard.worker.deployments import Deployments, Places
from stackyard.worker.faults import Faults
from stackyard.worker.heartbeat import Heartbeat
from stackyard.worker.jobs import LOOK_SECONDS, Jobs
from stackyard.worker.reconciler import Noun, Reconciler
from stackyard.worker.stages import Patience
from stackyard.worker.watch import Watch

LOG = logging.getLogger(__name__)


def reconcilers(parts: assembly.Parts) -> list[Reconciler[Any, Any]]:
    """Return the loops of all nouns, those first that users wait for most."""
    options = parts.options
    apps, worker = options.apps, options.worker
    patience = Patience(apps.stage_seconds, apps.ready_seconds)
    places = Places(
        apps.domain,
        apps.drain_seconds,
        patience,
        apps.proving_seconds,
        parts.certificates,
        SwarmMembers(),
        parts.jobs,
        ConsulDiscovery(),
    )
    workshop = Workshop(parts.folder / "trees", apps.ready_seconds, apps.domain, parts.rebaser)
    nouns: list[Noun[Any, Any]] = [
        Deployments(parts.store, parts.workloads, parts.router, parts.authorities, places),
        Builds(parts.store, parts.sources, parts.builder, parts.authorities, workshop),
        Clusters(parts.store, parts.machines, parts.engine, parts.registry, parts.authorities),
        Applications(parts.store, parts.registry, parts.sources, parts.repositories, parts.vault),
    ]
    jobs = Jobs(parts.store, parts.jobs, parts.authorities, patience)
    means = Means(parts.workloads, parts.jobs, parts.contents, parts.vault, apps.ready_seconds)
    backups = Backups(parts.store, parts.authorities, means)
    faults = Faults(parts.bell.folder)
    loops = [Reconciler(noun, parts.leases(noun.rows), worker.look_seconds, faults) for noun in nouns]
    rare = [Reconciler(noun, parts.leases(noun.rows), LOOK_SECONDS, faults) for noun in (jobs, backups)]
    return [*loops, *rare]


class Worker(cotyledon.Service):  # type: ignore[misc]
    """One process: a loop that leases, a pool that works, a keeper that renews."""

    name = "stackyard-worker"

    def __init__(self, worker_id: int, config_file: str | None) -> None:
        super().__init__(worker_id)
        self.parts = assembly.assemble(conf.load(config_file))
        self.reconcilers = reconcilers(self.parts)
        self.threads = self.parts.options.worker.threads
        self.stopping = threading.Event()
        parts = self.parts
        self.collector = Collector(parts.store, parts.authorities, parts.workloads, parts.logs)
        self.free = threading.Semaphore(self.threads)
        self.ear = Ear(self.parts.bell.folder)

    def run(self) -> None:
        """Take due rows until told to stop. Called by cotyledon."""
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        keeper.start()
        Heartbeat(self.parts.store).start()
        Cron(self.parts.store, self.parts.options.apps.job_seconds, self.parts.options.backups.seconds).start()
        Watch(self.parts.machines, self.parts.store).start()
        AccessLog(self.parts.folder / "router", self.parts.logs.append).start()
        self.collector.start()
        with concurrent.futures.ThreadPoolExecutor(self.threads, "work") as pool:
            while not self.stopping.is_set():
                if not self._take(pool):
                    self.ear.wait(self._pause())
        self.ear.close()

    def terminate(self) -> None:
        """Stop taking rows; those in hand are finished or left to the next worker. Called by cotyledon."""
        self.stopping.set()
        self.collector.stop()
        self.ear.ring()

    def _take(self, pool: concurrent.futures.Executor) -> bool:
        """Give one due row to a free thread; return whether there was one."""
        for reconciler in self.reconcilers:
            self.free.acquire()
            try:
                taken = reconciler.leases.acquire()
            except errors.StackyardError as error:
                LOG.warning("can't look for work: %s", error)
                taken = None
            if taken is None:
                self.free.release()
                continue
            pool.submit(self._work, reconciler, *taken)
            return True
        return False

    def _work(self, reconciler: Reconciler[Any, Any], lease: Lease, record: Record) -> None:
        try:
            reconciler.work(lease, record)
        except Exception:
            LOG.exception("work on %s ended; another worker goes on after the lease", lease)
        finally:
            self.free.release()
            self.ear.ring()

    def _pause(self) -> float:
        """Return how long to sleep unless woken: until the next row is due, at most the polling interval."""
        poll: float = self.parts.options.worker.poll_seconds
        try:
            due = [reconciler.leases.next_due() for reconciler in self.reconcilers]
        except errors.StackyardError:
            return poll
        return max(0.01, min([poll, *(moment - time.time() for moment in due if moment is not None)]))

    def _keep(self) -> None:
        """Renew the leases of what takes long, so that nobody takes it over while we live."""
        while True:
            time.sleep(self.parts.options.worker.lease_seconds / 3)
            for reconciler in self.reconcilers:
                reconciler.leases.renew_held()


def main() -> None:
    """Run as many worker processes as the options ask for."""
    config_file = assembly.config_file()
    options = conf.load(config_file)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    manager = cotyledon.ServiceManager(graceful_shutdown_timeout=10)
    manager.add(Worker, workers=options.worker.processes, args=(config_file,))
    manager.run()


if __name__ == "__main__":
    main()
