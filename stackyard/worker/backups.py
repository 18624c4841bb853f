# SPDX-License-Identifier: Apache-2.0
"""Backups: taken, verified, restored and removed, by way of ports; then the scheduled ones that are too many go."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence

from stackyard.drivers.secrets.authorities import Authorities
from stackyard.model import errors
from stackyard.model import ports as port
from stackyard.model.backups import Backup, BackupObserved, Cause, Form, Step
from stackyard.model.phase import Phase, Trigger
from stackyard.model.plan import Action
from stackyard.model.plan import backups as steps
from stackyard.store import Store, Transaction
from stackyard.store.backups import Backups as Rows
from stackyard.worker.holding import Holding
from stackyard.worker.reconciler import Change, Passive
from stackyard.worker.surroundings import Surroundings
from stackyard.worker.transfers import Transfers, feed, output
from stackyard.worker.trials import Trials


@dataclasses.dataclass(frozen=True)
class Means:
    """What backups are made with. `ready_seconds` is what a service may take to come back."""

    workloads: port.Workloads
    jobs: port.Jobs
    contents: port.Contents
    vault: port.Vault
    ready_seconds: float = 60.0


class Backups(Passive):
    """The noun backup for the loop."""

    def __init__(self, store: Store, authorities: Authorities, means: Means) -> None:
        self.store = store
        self.authorities = authorities
        self.means = means
        self.surroundings = Surroundings(store, means.workloads, authorities)
        self.holding = Holding(store, means.ready_seconds)
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
        content = self.means.vault.has(record.app_id, record.id)
        return dataclasses.replace(self.surroundings.seen(record), content=content, now=time.time())

    def plan(self, record: Backup, seen: steps.Seen) -> Sequence[Action]:
        """Ask the planner."""
        return steps.plan_backup(record, seen)

    def act(self, action: Action, record: Backup, seen: steps.Seen) -> Change[Backup] | None:
        """Perform one action; what commands say is told without secrets."""
        try:
            return self.actions[type(action)](record, action)
        except errors.GiveUp as reason:
            raise errors.GiveUp(self.surroundings.masked(record, str(reason))) from None

    def reached(self, record: Backup, seen: steps.Seen) -> Change[Backup]:
        """Let the scheduled ones that are too many go."""
        if record.phase is not Phase.CREATING or record.cause is not Cause.SCHEDULE:
            return Change(record)
        keep = self.surroundings.keep(record)
        return Change(record, also=lambda tx: _forget_surplus(tx, record, keep))

    def failed(self, record: Backup, reason: str) -> Change[Backup]:
        """Tell the environment of a scheduled one that failed; too many of those go as well."""
        if record.phase is not Phase.CREATING or record.cause is not Cause.SCHEDULE:
            return Change(record)
        keep = self.surroundings.keep(record)

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

    def _place(self, record: Backup, action: steps.PlaceBackup) -> Change[Backup]:
        return Change(_stepped(record, Step.PLACED, node=action.node))

    def _take(self, record: Backup, action: steps.TakeBackup) -> Change[Backup]:
        began, place = time.time(), self.surroundings.place(record)
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
        return Change(done, ("taken", f"backup {record.number} has {kept.size} bytes of {record.service}"))

    def _try(self, record: Backup, action: steps.TryBackup) -> Change[Backup]:
        """Prove it: what speaks against the backup itself is its flaw, not a failure of the step."""
        place, flaw = self.surroundings.place(record), ""
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
            flaw = self.surroundings.masked(record, str(reason))
        verified = record.observed.verified_at if flaw else time.time()
        what = f"backup {record.number} of {record.service}"
        good = ("verified", f"{what} was restored into a throw-away container")
        note = ("flawed", f"{what} is flawed: {flaw.partition(chr(10))[0]}") if flaw else good
        return Change(_stepped(record, Step.DONE, flaw=flaw, verified_at=verified), note)

    def _feed(self, record: Backup, action: steps.FeedBackup) -> Change[Backup]:
        """Give the dump to the service; all of it is checked before the first byte is given."""
        place, words = self.surroundings.place(record), action.rule.restore
        with self.transfers.begin(record) as transfer:
            for _ in self._content(record):
                transfer.check()
            with transfer.watching(self.means.jobs.exec(place.access, action.replica, words)) as stream:
                feed(stream, words, transfer.through(self._content(record)))
            transfer.check()
        return Change(_stepped(record, Step.DONE, restored_at=time.time()), _restored(record))

    def _unpack(self, record: Backup, _action: object) -> Change[Backup]:
        place = self.surroundings.place(record)
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
        return Change(held, ("holding", words), lambda tx: self.holding.scale(tx, record, nothing, words))

    def _save(self, record: Backup, _action: object) -> Change[Backup]:
        self.trials.save(record, self.surroundings.place(record))
        return Change(_stepped(record, Step.SAVED))

    def _replace(self, record: Backup, _action: object) -> Change[Backup]:
        try:
            self.trials.replace(record, self.surroundings.place(record))
        except errors.GiveUp as reason:
            broken = f"its content could not be put in place: {self.surroundings.masked(record, str(reason))}"
            return Change(_stepped(record, Step.BROKEN, trouble=broken), ("broken", broken.partition("\n")[0]))
        done = _stepped(record, Step.DONE, restored_at=time.time())
        return Change(done, _restored(record))

    def _put_back(self, record: Backup, _action: object) -> Change[Backup]:
        self.trials.put_back(record, self.surroundings.place(record))
        return Change(_stepped(record, Step.BACK))

    def _release(self, record: Backup, _action: object) -> Change[Backup]:
        held = record.observed.held
        words = f"{', '.join(held)} started again after the restore of backup {record.number}"
        self.holding.release(record, held, words)
        return Change(_with(record, held={}), ("released", words))

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


def _forget_surplus(tx: Transaction, record: Backup, keep: int) -> None:
    for each in steps.surplus(tx.backups.of(record.app_id, record.environment, record.service), keep):
        tx.backups.change(each, Trigger.DELETE, f"older than the newest {keep}")


def _restored(record: Backup) -> tuple[str, str]:
    return "restored", f"{record.service} holds what backup {record.number} has"


def _with(record: Backup, **observed: object) -> Backup:
    told: BackupObserved = dataclasses.replace(record.observed, **observed)  # type: ignore[arg-type]
    return dataclasses.replace(record, observed=told)


def _stepped(record: Backup, step: Step, **observed: object) -> Backup:
    return _with(record, step=step, step_of=record.generation, **observed)
