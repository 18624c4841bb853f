# SPDX-License-Identifier: Apache-2.0
"""Backups: taken, verified, restored and removed, by way of ports; then the scheduled ones that are too many go."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.intents.hiding import secret_values
from stackyard.intents.rules import within
from stackyard.model import errors
from stackyard.model import ports as port
from stackyard.model.applications import Deployment, Release, Service, Stage
from stackyard.model.backups import Backup, BackupObserved, BackupRule, Cause, Form, Step, Wish
from stackyard.model.clusters import Cluster
from stackyard.model.masking import mask
from stackyard.model.phase import ENDING, FAILED, IN_PROGRESS, Phase, Trigger
from stackyard.model.plan import Action
from stackyard.model.plan import backups as steps
from stackyard.store import Store, Transaction
from stackyard.store.backups import Backups as Rows
from stackyard.worker.jobs import holder_of
from stackyard.worker.reconciler import Change, Passive
from stackyard.worker.runs import runs_of
from stackyard.worker.transfers import Transfers, feed, output
from stackyard.worker.trials import Place, Trials

LIVING = ("pending", "starting", "running", "unhealthy", "unknown")
LOOK_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True)
class Means:
    """What backups are made with. `ready_seconds` is what a service may take to come back."""

    workloads: port.Workloads
    jobs: port.Jobs
    contents: port.Contents
    vault: port.Vault
    ready_seconds: float = 60.0


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What the database knows around a backup; `service` is None where there is none to work with, `lack` says why."""

    deployment: Deployment | None = None
    cluster: Cluster | None = None
    release: Release | None = None
    service: Service | None = None
    lack: str = ""


class Backups(Passive):
    """The noun backup for the loop."""

    def __init__(self, store: Store, authorities: Authorities, means: Means) -> None:
        self.store = store
        self.authorities = authorities
        self.means = means
        self.trials = Trials(means.jobs, means.contents)
        self.transfers = Transfers(store)
        self.actions: dict[type[Action], Callable[..., Change[Backup] | None]] = {
            steps.PlaceBackup: self._place,
            steps.TakeBackup: self._take,
            steps.TryBackup: self._try,
            steps.FeedBackup: self._feed,
            steps.UnpackBackup: self._unpack,
            steps.HoldService: self._hold,
            steps.SaveVolumes: self._save,
            steps.ReplaceVolumes: self._replace,
            steps.PutBack: self._put_back,
            steps.ReleaseService: self._release,
            steps.TidyBackup: self._tidy,
            steps.DeleteContent: self._delete,
            steps.FailBackup: self._fail,
        }

    def rows(self, tx: Transaction) -> Rows:
        """Return the repository of backups."""
        return tx.backups

    def idle(self, record: Backup) -> bool:
        """One that rests, with nothing left of its work, is not looked after."""
        return steps.over(record)

    def observe(self, record: Backup) -> steps.Seen:
        """Look at its service; at nothing but itself where it only has to be tidied up."""
        around = self._around(record)
        content = self.means.vault.has(record.app_id, record.id)
        if record.phase not in (Phase.CREATING, Phase.UPDATING) or around.deployment is None:
            return steps.Seen(lack=around.lack, content=content, now=time.time())
        if around.service is None:
            seen = steps.Seen(lack=around.lack, content=content, now=time.time())
        else:
            seen = self._seen(record, around, around.deployment, around.service)
        return _with_rest(seen, around.deployment)

    def plan(self, record: Backup, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return steps.plan_backup(record, seen)

    def act(self, action: Action, record: Backup, seen: steps.Seen) -> Change[Backup] | None:
        """Perform one action; what commands say is told without secrets."""
        try:
            return self.actions[type(action)](record, action)
        except errors.GiveUp as reason:
            raise errors.GiveUp(self._masked(record, str(reason))) from None

    def reached(self, record: Backup, seen: steps.Seen) -> Change[Backup]:
        """Let the scheduled ones that are too many go."""
        if record.phase is not Phase.CREATING or record.cause is not Cause.SCHEDULE:
            return Change(record)
        keep = self._keep(record)
        return Change(record, also=lambda tx: _forget_surplus(tx, record, keep))

    def failed(self, record: Backup, reason: str) -> Change[Backup]:
        """Tell the environment of a scheduled one that failed; too many of those go as well."""
        if record.phase is not Phase.CREATING or record.cause is not Cause.SCHEDULE:
            return Change(record)
        keep = self._keep(record)

        def also(tx: Transaction) -> None:
            _forget_surplus(tx, record, keep)
            deployment = tx.deployments.of(record.app_id, record.environment)
            if deployment:
                told = f"{record.name} (backup {record.number}) failed: {reason.partition(chr(10))[0]}"
                tx.deployments.note(deployment, "backup_failed", told)

        return Change(record, also=also)

    def removed(self, record: Backup, tx: Transaction) -> None:
        """Let the application's own removal go on."""
        tx.applications.nudge(record.app_id)

    # --- looking --------------------------------------------------------------------------------

    def _around(self, record: Backup) -> Surroundings:
        with self.store.reading() as tx:
            deployment = tx.deployments.of(record.app_id, record.environment)
            if deployment is None or deployment.phase in ENDING:
                return Surroundings(lack=f"environment {record.environment} is gone")
            cluster = tx.clusters.known(deployment.cluster_id)
            if deployment.serving < 1:
                return Surroundings(deployment, cluster, lack=f"nothing serves in {record.environment}")
            release = tx.releases.number(record.app_id, deployment.serving)
        service = next((each for each in release.spec.services if each.name == record.service), None)
        lack = _lack(record, service)
        return Surroundings(deployment, cluster, release, None if lack else service, lack)

    def _seen(self, record: Backup, around: Surroundings, of: Deployment, service: Service) -> steps.Seen:
        access = self.authorities.must_reach(around.cluster)
        runs = self.means.workloads.runs(access, of.workload_id)
        names = sharing(around.release, service) if record.form is Form.ARCHIVE else [service.name]
        ours = [task for run in runs if (run.group or run.service) in names for task in run.tasks]
        ready = [task for task in ours if task.state == "running"]
        return steps.Seen(
            rule=service.backup or BackupRule(),
            replica=max(ready, key=lambda task: (task.service, -task.slot), default=None),
            living=sum(task.state in LIVING for task in ours),
            scales={name: of.scale.get(name) for name in names},
            node=self._node(record, around, of, service),
            reachable=record.observed.node in {node.name for node in access.nodes},
            content=True,
            now=time.time(),
        )

    def _node(self, record: Backup, around: Surroundings, of: Deployment, service: Service) -> str:
        """Return the node to work at: the one that holds the volumes; to verify, any that is ready."""
        nodes = around.cluster.observed.nodes if around.cluster else ()
        ready = sorted(node.name for node in nodes if node.state == "ready")
        holder = holder_of(around.release, of, service) if around.release else ""
        if holder in ready or record.wish is not Wish.VERIFY:
            return holder if holder in ready else ""
        return ready[record.number % len(ready)] if ready else ""

    def _keep(self, record: Backup) -> int:
        service = self._around(record).service
        return (service.backup if service and service.backup else BackupRule()).keep

    def _at(self, record: Backup) -> Place:
        """Return where the work is done; raises GiveUp where nothing can be done with the service."""
        around = self._around(record)
        if around.service is None or around.deployment is None or around.release is None:
            raise errors.GiveUp(around.lack)
        access = self.authorities.must_reach(around.cluster)
        run = runs_of(self.authorities.secrets, around.deployment, around.release, [around.service])[0]
        return Place(access, record.observed.node, run)

    def _masked(self, record: Backup, text: str) -> str:
        release = self._around(record).release
        if release is None:
            return text
        return mask(text, secret_values(self.authorities.secrets, release.config, release.secret_keys))

    # --- doing ----------------------------------------------------------------------------------

    def _place(self, record: Backup, action: steps.PlaceBackup) -> Change[Backup]:
        return Change(_stepped(record, Step.PLACED, node=action.node))

    def _take(self, record: Backup, action: steps.TakeBackup) -> Change[Backup]:
        began, place = time.time(), self._at(record)
        with self.transfers.begin(record) as transfer:
            if action.replica is None:
                content = self.trials.archive(record, place)
                kept = self.means.vault.write(record.app_id, record.id, transfer.through(content))
            else:
                words = action.rule.command
                with transfer.watching(self.means.jobs.exec(place.access, action.replica, words)) as stream:
                    content = transfer.through(output(stream, words))
                    kept = self.means.vault.write(record.app_id, record.id, content)
        told = {"size": kept.size, "stored": kept.stored, "digest": kept.digest}
        done = _stepped(record, Step.DONE, started_at=began, ended_at=time.time(), **told)
        return Change(done, ("taken", f"{kept.size} bytes of {record.service} are kept"))

    def _try(self, record: Backup, action: steps.TryBackup) -> Change[Backup]:
        """Prove it: what speaks against the backup itself is its flaw, not a failure of the step."""
        place, flaw = self._at(record), ""
        try:
            with self.transfers.begin(record) as transfer:
                content = transfer.through(self._content(record))
                if record.form is Form.DUMP:
                    self.trials.restore(record, place, action.rule, content, transfer)
                else:
                    self.trials.unpack(record, place, content)
                    if action.rule.check:
                        self.trials.check(record, place, action.rule, transfer)
        except errors.GiveUp as reason:
            flaw = self._masked(record, str(reason))
        verified = record.observed.verified_at if flaw else time.time()
        note = ("flawed", flaw.partition("\n")[0]) if flaw else ("verified", "it was restored beside the service")
        return Change(_stepped(record, Step.DONE, flaw=flaw, verified_at=verified), note)

    def _feed(self, record: Backup, action: steps.FeedBackup) -> Change[Backup]:
        """Give the dump to the service; all of it is checked before the first byte is given."""
        place, words = self._at(record), action.rule.restore
        with self.transfers.begin(record) as transfer:
            for _ in self._content(record):
                transfer.check()
            with transfer.watching(self.means.jobs.exec(place.access, action.replica, words)) as stream:
                feed(stream, words, transfer.through(self._content(record)))
            transfer.check()
        return Change(_stepped(record, Step.DONE, restored_at=time.time()), ("restored", action.describe()))

    def _unpack(self, record: Backup, _action: object) -> Change[Backup]:
        place = self._at(record)
        with self.transfers.begin(record) as transfer:
            self.trials.unpack(record, place, transfer.through(self._content(record)))
        return Change(_stepped(record, Step.UNPACKED))

    def _content(self, record: Backup) -> Iterator[bytes]:
        """Yield the content; raises GiveUp at its end at the latest where it is not what was taken."""
        sha256 = hashlib.sha256()
        for piece in self.means.vault.read(record.app_id, record.id):
            sha256.update(piece)
            yield piece
        if sha256.hexdigest() != record.observed.digest:
            raise errors.GiveUp("what is kept of it is not what was taken")

    def _hold(self, record: Backup, action: steps.HoldService) -> Change[Backup]:
        nothing: dict[str, int | None] = dict.fromkeys(action.scales, 0)
        held = _with(record, held=dict(action.scales))
        words = f"{', '.join(nothing)} stopped to restore backup {record.number}"
        return Change(held, ("holding", words), lambda tx: self._scale(tx, record, nothing, words))

    def _save(self, record: Backup, _action: object) -> Change[Backup]:
        self.trials.save(record, self._at(record))
        return Change(_stepped(record, Step.SAVED))

    def _replace(self, record: Backup, _action: object) -> Change[Backup]:
        try:
            self.trials.replace(record, self._at(record))
        except errors.GiveUp as reason:
            broken = f"its content could not be put in place: {self._masked(record, str(reason))}"
            return Change(_stepped(record, Step.BROKEN, trouble=broken), ("broken", broken.partition("\n")[0]))
        done = _stepped(record, Step.DONE, restored_at=time.time())
        return Change(done, ("restored", "its volumes hold what the backup has"))

    def _put_back(self, record: Backup, _action: object) -> Change[Backup]:
        self.trials.put_back(record, self._at(record))
        return Change(_stepped(record, Step.BACK))

    def _release(self, record: Backup, _action: object) -> Change[Backup]:
        held = record.observed.held
        words = f"{', '.join(held)} started again after the restore of backup {record.number}"
        self._released(record, held, words)
        return Change(_with(record, held={}), ("released", words))

    def _released(self, record: Backup, held: Mapping[str, int | None], words: str) -> None:
        """Give back what is still taken: who scaled it meanwhile has the last word."""
        with self.store.transaction() as tx:
            of = tx.deployments.of(record.app_id, record.environment)
            taken = {name: number for name, number in held.items() if of and of.scale.get(name) == 0 != number}
            if taken:
                self._scale(tx, record, taken, words)

    def _scale(self, tx: Transaction, record: Backup, wanted: Mapping[str, int | None], words: str) -> None:
        of = tx.deployments.of(record.app_id, record.environment)
        if of is None or of.phase in ENDING or of.release < 1:
            return
        scale = {**of.scale, **wanted}
        kept = {name: number for name, number in scale.items() if number is not None}
        limit = within(self.means.ready_seconds * tx.releases.number(of.app_id, of.release).spec.starts)
        tx.deployments.change(of, Trigger.CHANGE, words, deadline=limit, release=of.release, scale=kept)

    def _tidy(self, record: Backup, _action: object) -> Change[Backup]:
        """Remove what was made at the node; with the node, or the environment, it is gone anyway."""
        with self.store.reading() as tx:
            of = tx.deployments.of(record.app_id, record.environment)
            access = self.authorities.reach(tx.clusters.known(of.cluster_id)) if of else None
        if of and access and record.observed.node in {node.name for node in access.nodes}:
            self.trials.tidy(record, access, of.workload_id)
        return Change(_with(record, node=""))

    def _delete(self, record: Backup, _action: object) -> None:
        self.means.vault.delete(record.app_id, record.id)

    def _fail(self, record: Backup, action: steps.FailBackup) -> None:
        raise errors.GiveUp(action.reason)


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


def _with_rest(seen: steps.Seen, of: Deployment) -> steps.Seen:
    """Return a look with whether the environment has come to rest, and why not where it should have been."""
    ill = f"{of.name} has failed: {of.status_reason}" if of.phase in FAILED else ""
    return dataclasses.replace(seen, settled=of.phase not in IN_PROGRESS, ill=ill)


def _forget_surplus(tx: Transaction, record: Backup, keep: int) -> None:
    for each in steps.surplus(tx.backups.of(record.app_id, record.environment, record.service), keep):
        tx.backups.change(each, Trigger.DELETE, f"older than the newest {keep}")


def _with(record: Backup, **observed: object) -> Backup:
    told: BackupObserved = dataclasses.replace(record.observed, **observed)  # type: ignore[arg-type]
    return dataclasses.replace(record, observed=told)


def _stepped(record: Backup, step: Step, **observed: object) -> Backup:
    return _with(record, step=step, step_of=record.generation, **observed)
