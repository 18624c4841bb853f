# SPDX-License-Identifier: Apache-2.0
"""The worker's loop on clusters of fake machines and engines, with a real database and real certificates."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import time

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.fake import FakeEngine, FakeMachines
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model import errors
from stackyard.model.clusters import MASTER, Cluster, Node, NodeGroup
from stackyard.model.phase import Phase, Trigger
from stackyard.model.ports import Machine, MachineSpec
from stackyard.model.records import utcnow
from stackyard.store import Store
from stackyard.store.leases import Leases
from stackyard.worker.clusters import Clusters
from stackyard.worker.faults import Faults
from stackyard.worker.reconciler import Reconciler


class Registry:
    """Notes which clusters' networks it is reached from."""

    def __init__(self) -> None:
        self.attached: set[str] = set()

    def attach(self, cluster_id: str) -> None:
        self.attached.add(cluster_id)

    def detach(self, cluster_id: str) -> None:
        self.attached.discard(cluster_id)


class TroubledMachines(FakeMachines):
    """Machines of which some can't be made, and that may not answer at all."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: dict[str, Exception] = {}
        self.silence = ""

    def list(self, cluster_id: str) -> list[Machine]:
        if self.silence:
            raise errors.Unavailable(self.silence)
        return super().list(cluster_id)

    def create(self, spec: MachineSpec, issue: object) -> Machine:
        for word, error in self.trouble.items():
            if word in (spec.name, spec.image, spec.group_id):
                raise error
        return super().create(spec, issue)  # type: ignore[arg-type]


class Bench:
    """One cluster in a database of its own, worked on by hand."""

    def __init__(self, folder: pathlib.Path, masters: int = 1, workers: int = 2, **fields: object) -> None:
        self.store = Store(f"sqlite:///{folder}/db")
        self.store.migrate()
        self.machines = TroubledMachines()
        self.engine = FakeEngine(self.machines)
        self.registry = Registry()
        key = folder / "key"
        ensure_key(key)
        self.authorities = Authorities(FernetSecrets(key), X509())
        self.noun = Clusters(self.store, self.machines, self.engine, self.registry, self.authorities)  # type: ignore[arg-type]
        self.leases = Leases(self.store, self.noun.rows, 5.0)
        self.loop = Reconciler(self.noun, self.leases, look_seconds=30, faults=Faults(folder))
        values = {"project_id": "p", "user_id": "u", "template_id": "first", "coe": "swarm", "name": "c", **fields}
        with self.store.transaction() as tx:
            tx.quotas.take("p", "Cluster", 20)
            self.id = tx.clusters.insert(Cluster(**values)).id  # type: ignore[arg-type]
            for name, role, count in (("default-master", MASTER, masters), ("default-worker", "worker", workers)):
                tx.nodegroups.insert(self.group_of(name, role=role, node_count=count))

    def group_of(self, name: str, **fields: object) -> NodeGroup:
        return NodeGroup(cluster_id=self.id, project_id="p", name=name, image_id="node", **fields)  # type: ignore[arg-type]

    def work(self, seconds: float = 10) -> Cluster | None:
        """Let the loop work until the cluster's phase is settled; return the cluster, None when it is gone."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            now = self.now
            if now is None or now.phase in (Phase.READY, Phase.CREATE_FAILED, Phase.UPDATE_FAILED):
                return now
        raise AssertionError(f"no end: {self.now}")

    def look(self) -> None:
        """Let the loop have the cluster once."""
        with self.store.saving() as tx:
            tx.clusters.nudge(self.id)
        taken = self.leases.acquire()
        if taken:
            self.loop.work(*taken)

    @property
    def now(self) -> Cluster | None:
        with self.store.reading() as tx:
            found = tx.clusters.list(id=self.id)
            return found[0] if found else None

    @property
    def cluster(self) -> Cluster:
        found = self.now
        assert found is not None
        return found

    @property
    def groups(self) -> dict[str, NodeGroup]:
        with self.store.reading() as tx:
            return {group.name: group for group in tx.nodegroups.of([self.id])[self.id]}

    @property
    def nodes(self) -> list[Node]:
        return list(self.cluster.observed.nodes)

    def names(self, role: str = "worker") -> list[str]:
        return [machine.name for machine in self.machines.list(self.id) if machine.role == role]

    def steps(self) -> list[str]:
        with self.store.reading() as tx:
            return [event.kind for event in tx.events.of([self.id], limit=1000)]

    def ask(self, message: str = "change", *, seconds: float | None = None, **fields: object) -> None:
        """Change the intent of the cluster."""
        deadline = None if seconds is None else utcnow() + datetime.timedelta(seconds=seconds)
        with self.store.transaction() as tx:
            tx.clusters.change(self.cluster, Trigger.CHANGE, message, deadline=deadline, **fields)

    def group(self, name: str, *, asked: str = "resize", seconds: float | None = None, **fields: object) -> None:
        """Change a node group, and with it the cluster."""
        with self.store.transaction() as tx:
            changed = dataclasses.replace(self.groups[name], phase=Phase.UPDATING, **fields)  # type: ignore[arg-type]
            tx.nodegroups.save(changed)
        self.ask(asked, seconds=seconds)

    def upgrade(self, image: str, template: str, **fields: object) -> None:
        for name in self.groups:
            with self.store.transaction() as tx:
                tx.nodegroups.save(dataclasses.replace(self.groups[name], phase=Phase.UPDATING, image_id=image))
        self.ask("upgrade", upgrade_to=template, **fields)

    def delete(self, seconds: float | None = None) -> None:
        deadline = None if seconds is None else utcnow() + datetime.timedelta(seconds=seconds)
        with self.store.transaction() as tx:
            tx.clusters.change(self.cluster, Trigger.DELETE, "delete", deadline=deadline)

    images = property(lambda self: {machine.image for machine in self.machines.list(self.id)})
    trusts = property(lambda self: {machine.trust for machine in self.machines.list(self.id)})
