# SPDX-License-Identifier: Apache-2.0
"""What is around a backup: its service as the release that serves has it, its replicas, its node.

Called by the noun backup; looks, and changes nothing.
"""

from __future__ import annotations

import dataclasses

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.intents.hiding import secret_values
from stackyard.model import errors
from stackyard.model.applications import Deployment, Release, Service, Stage
from stackyard.model.backups import Backup, BackupRule, Form, Wish
from stackyard.model.clusters import Cluster
from stackyard.model.masking import mask
from stackyard.model.phase import ENDING, FAILED, IN_PROGRESS, Phase
from stackyard.model.plan.backups import Seen
from stackyard.model.ports import Workloads
from stackyard.store import Store
from stackyard.worker.jobs import holder_of
from stackyard.worker.runs import runs_of
from stackyard.worker.trials import Place

LIVING = ("pending", "starting", "running", "unhealthy", "unknown")


@dataclasses.dataclass(frozen=True)
class Known:
    """What the database knows around a backup; `service` is None where there is none to work with, `lack` says why."""

    deployment: Deployment | None = None
    cluster: Cluster | None = None
    release: Release | None = None
    service: Service | None = None
    lack: str = ""


class Surroundings:
    """Looks around backups."""

    def __init__(self, store: Store, workloads: Workloads, authorities: Authorities) -> None:
        self.store = store
        self.workloads = workloads
        self.authorities = authorities

    def seen(self, record: Backup) -> Seen:
        """Return what is around a backup that is worked on; nothing of one that is not."""
        known = self._known(record)
        if record.phase not in (Phase.CREATING, Phase.UPDATING) or known.deployment is None:
            return Seen(lack=known.lack)
        if known.service is None:
            return _with_rest(Seen(lack=known.lack), known.deployment)
        return _with_rest(self._seen(record, known, known.deployment, known.service), known.deployment)

    def place(self, record: Backup) -> Place:
        """Return where the work is done; raises GiveUp where nothing can be done with the service."""
        known = self._known(record)
        if known.service is None or known.deployment is None or known.release is None:
            raise errors.GiveUp(known.lack)
        access = self.authorities.must_reach(known.cluster)
        run = runs_of(self.authorities.secrets, known.deployment, known.release, [known.service])[0]
        return Place(access, record.observed.node, run)

    def keep(self, record: Backup) -> int:
        """Return how many of the service's scheduled backups stay."""
        service = self._known(record).service
        return (service.backup if service and service.backup else BackupRule()).keep

    def masked(self, record: Backup, text: str) -> str:
        """Return a text without the secrets of the release that serves."""
        release = self._known(record).release
        if release is None:
            return text
        return mask(text, secret_values(self.authorities.secrets, release.config, release.secret_keys))

    def _known(self, record: Backup) -> Known:
        with self.store.reading() as tx:
            deployment = tx.deployments.of(record.app_id, record.environment)
            if deployment is None or deployment.phase in ENDING:
                return Known(lack=f"environment {record.environment} is gone")
            cluster = tx.clusters.known(deployment.cluster_id)
            if deployment.serving < 1:
                return Known(deployment, cluster, lack=f"nothing serves in {record.environment}")
            release = tx.releases.number(record.app_id, deployment.serving)
        service = release.spec.named(record.service)
        lack = _lack(record, service)
        return Known(deployment, cluster, release, None if lack else service, lack)

    def _seen(self, record: Backup, known: Known, of: Deployment, service: Service) -> Seen:
        access = self.authorities.must_reach(known.cluster)
        runs = self.workloads.runs(access, of.workload_id)
        names = sharing(known.release, service) if record.form is Form.ARCHIVE else [service.name]
        ours = [task for run in runs if (run.group or run.service) in names for task in run.tasks]
        ready = [task for task in ours if task.state == "running"]
        return Seen(
            rule=service.backup or BackupRule(),
            replica=max(ready, key=lambda task: (task.service, -task.slot), default=None),
            living=sum(task.state in LIVING for task in ours),
            scales={name: of.scale.get(name) for name in names},
            node=self._node(record, known, of, service),
            reachable=record.observed.node in {node.name for node in access.nodes},
        )

    def _node(self, record: Backup, known: Known, of: Deployment, service: Service) -> str:
        """Return the node to work at: the one that holds the volumes; to verify, any that is ready."""
        nodes = known.cluster.observed.nodes if known.cluster else ()
        ready = sorted(node.name for node in nodes if node.state == "ready")
        holder = holder_of(known.release, of, service) if known.release else ""
        if holder in ready or record.wish is not Wish.VERIFY:
            return holder if holder in ready else ""
        return ready[record.number % len(ready)] if ready else ""


def sharing(release: Release | None, service: Service) -> list[str]:
    """Return the names of the services that go on running with one of a service's volumes, its own first."""
    volumes = {mount.volume for mount in service.mounts}
    others = release.spec.services if release else ()
    using = [each for each in others if each.stage is Stage.RUN and volumes & {mount.volume for mount in each.mounts}]
    return [service.name, *(each.name for each in using if each.name != service.name)]


def _lack(record: Backup, service: Service | None) -> str:
    if service is None:
        return f"the release that serves has no service {record.service}"
    if record.form is Form.ARCHIVE and (service.group or not service.mounts):
        what = "is a group" if service.group else "has no volumes any more"
        return f"{record.service} {what}: an archive of volumes can't be used with it"
    if record.form is Form.DUMP and not (service.backup and service.backup.command):
        return f"{record.service} does not say any more how it is dumped and restored (backup.command)"
    return ""


def _with_rest(seen: Seen, of: Deployment) -> Seen:
    """Return a look with whether the environment has come to rest, and why not where it should have been."""
    ill = f"{of.name} has failed: {of.status_reason}" if of.phase in FAILED else ""
    return dataclasses.replace(seen, settled=of.phase not in IN_PROGRESS, ill=ill)
