# SPDX-License-Identifier: Apache-2.0
"""The worker's loop on backups of a cluster in memory, a real database and vault: whole or not at all, whoever dies."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from stackyard.drivers.backups.folder import FolderVault
from stackyard.drivers.workloads.fake_jobs import FakeJobs
from stackyard.intents.backups import Backups as Intents
from stackyard.intents.rules import Rules
from stackyard.model import errors
from stackyard.model.applications import Application, AppSpec, Deployment, Mount, Release, Service
from stackyard.model.backups import Backup, BackupRule, Cause, Wish
from stackyard.model.clusters import Cluster, ClusterObserved, Node
from stackyard.model.phase import Phase, Trigger
from stackyard.model.ports import ClusterAccess, JobSpec, Replica, RunSeen
from stackyard.model.records import Caller
from stackyard.store import Store
from stackyard.store.leases import Leases
from stackyard.worker import cron
from stackyard.worker.backups import Backups, Means
from stackyard.worker.faults import Faults
from stackyard.worker.reconciler import Reconciler
from stackyard.worker.trials import FOLDER
from tests.worker.open_authorities import OpenAuthorities

CALLER = Caller("u", "p", frozenset({"member"}))
DUMPS = BackupRule(("dump",), ("load",), ("check",), ("ready",), "*/5 * * * *", 2)
DB = Service("db", image="i", backup=DUMPS, mounts=(Mount("data", "/data"),))
STORE = Service("store", image="i", mounts=(Mount("files", "/files"),), backup=BackupRule())
PASSWORD = "correct-horse"


class Killed(BaseException):
    """The process is no more."""


class FakeStream:
    """A command that has been given its input once that has ended; `run` returns output, words and exit code."""

    def __init__(self, run: Callable[[bytes], tuple[bytes, bytes, int]]) -> None:
        self._run, self._given, self._ended = run, b"", threading.Event()
        self._left: list[tuple[int, bytes]] | None = None
        self._code = 0

    def read(self) -> tuple[int, bytes] | None:
        self._ended.wait()
        if self._left is None:
            out, said, self._code = self._run(self._given)
            self._left = [piece for piece in ((1, out), (2, said)) if piece[1]]
        return self._left.pop(0) if self._left else None

    def write(self, data: bytes) -> None:
        self._given += data

    def end_input(self) -> None:
        self._ended.set()

    def result(self) -> tuple[int, str]:
        return self._code, f"exited with code {self._code}"

    def resize(self, rows: int, columns: int) -> None:
        raise AssertionError

    def close(self) -> None:
        self._ended.set()


class World(FakeJobs):
    """A node: what the database holds, what volumes hold, and what commands and copies do to them."""

    def __init__(self) -> None:
        super().__init__()
        self.database = b"rows"
        self.volumes: dict[str, bytes] = {"files": b"pictures"}
        self.loaded: bytes | None = None
        self.fails: dict[str, str] = {}
        self.scale: Callable[[], int] = lambda: 1

    # the service
    def runs(self, access: ClusterAccess, app_id: str) -> list[RunSeen]:
        tasks = tuple(Replica(f"t-{name}", f"r-{name}", name, 1, "n1", "running") for name in ("db", "store"))
        count = self.scale()
        return [RunSeen(each.run, app_id, each.service, 1, "d", 1, (each,)) for each in tasks[: 1 + count]]

    def exec(
        self, access: ClusterAccess, replica: Replica, command: Sequence[str], *, terminal: bool = False
    ) -> FakeStream:
        return FakeStream(lambda given: self._command(command[0], given, serving=True))

    def _command(self, word: str, given: bytes, *, serving: bool) -> tuple[bytes, bytes, int]:
        if word in self.fails:
            return b"half" if word == "dump" else b"", self.fails[word].encode(), 1
        if word == "dump":
            return self.database, b"", 0
        if word == "load" and serving:
            self.database = given
        elif word == "load":
            self.loaded = given
        return b"", b"", 0

    # containers beside it
    def enter(self, access: ClusterAccess, node: str, job_id: str, command: Sequence[str]) -> FakeStream:
        return FakeStream(lambda given: self._command(command[0], given, serving=False))

    def unload(self, access: ClusterAccess, node: str, job_id: str, folder: str) -> Iterator[bytes]:
        assert folder == FOLDER
        for mount in self.specs[job_id].run.service.mounts:
            yield self.volumes[mount.volume]

    def load(self, access: ClusterAccess, node: str, job_id: str, content: Iterator[bytes]) -> None:
        data = b"".join(content)
        for mount in self.specs[job_id].run.service.mounts:
            self.volumes[mount.volume] = data

    def forget(self, access: ClusterAccess, node: str, app_id: str, ending: str) -> None:
        self.volumes = {name: held for name, held in self.volumes.items() if not name.endswith(ending)}

    def create(self, access: ClusterAccess, node: str, job: JobSpec) -> None:
        assert PASSWORD not in str(job)
        super().create(access, node, job)

    def start(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Run: what copies does so at once, what serves goes on."""
        super().start(access, node, job_id)
        mounts = {each.target: each.volume for each in self.specs[job_id].run.service.mounts}
        if "/from/0" in mounts:
            assert self.scale() == 0, "volumes are copied while somebody writes to them"
            self.volumes[mounts["/to/0"]] = self.volumes[mounts["/from/0"]]
            self.end(job_id, 1 if "copy" in self.fails and not mounts["/from/0"].endswith("before-restore") else 0)
        elif self.specs[job_id].run.service.entrypoint == ("check",):
            self.end(job_id, 1 if "check" in self.fails else 0)

    def left(self) -> int:
        """Return how many containers and volumes there are beside the service's own."""
        kept = [name for name in self.volumes if name != "files" and not name.endswith(".before-restore")]
        return len(self._seen) + len(kept)


class Bench:
    """An application whose release serves on a cluster of one node, worked on by hand."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.store = Store(f"sqlite:///{folder}/db")
        self.store.migrate()
        self.world = World()
        authorities = OpenAuthorities(folder)
        self.vault = FolderVault(folder / "backups", authorities.secrets, 64, 0)
        means = Means(self.world, self.world, self.world, self.vault)  # type: ignore[arg-type]
        self.noun = Backups(self.store, authorities, means)  # type: ignore[arg-type]
        self.loop = Reconciler(self.noun, Leases(self.store, self.noun.rows, 0.0), 30, Faults(folder))
        self.noun.wait = lambda _record, _action: self.rest()  # type: ignore[method-assign]
        self.intents = Intents(self.store, Rules())
        self.cron = cron.Cron(self.store, 60, 60)
        config = authorities.secrets.seal(f'{{"PASSWORD": "{PASSWORD}"}}')
        with self.store.transaction() as tx:
            node = Node("n1", "g", "master", "10.0.0.2", "ready")
            cluster = Cluster(
                project_id="p",
                name="c",
                user_id="u",
                template_id="t",
                coe="swarm",
                secrets="s",
                observed=ClusterObserved(nodes=(node,)),
            )
            tx.clusters.insert(cluster)
            self.app = tx.applications.insert(Application(project_id="p", name="shop"))
            self.place = tx.deployments.insert(
                Deployment(project_id="p", name="shop", app_id=self.app.id, cluster_id=cluster.id, phase=Phase.READY)
            )
            tx.releases.insert(
                Release(
                    project_id="p",
                    app_id=self.app.id,
                    number=1,
                    spec=AppSpec((DB, STORE)),
                    config=config,
                    secret_keys=("PASSWORD",),
                )
            )
            tx.deployments.change(self.place, Trigger.CHANGE, "release", release=1)
        self.rest(serving=1, pins={"db": "n1", "store": "n1"})
        self.world.scale = lambda: self.deployment.scale.get("store", 1)

    @property
    def deployment(self) -> Deployment:
        with self.store.reading() as tx:
            return tx.deployments.get(self.place.id)

    def rest(self, **seen: object) -> None:
        """Do what the deployments' own loop does."""
        leases = Leases(self.store, lambda tx: tx.deployments, 60)
        taken = leases.acquire()
        if taken:
            leases.save(taken[0], dataclasses.replace(taken[1], **seen), Trigger.REACHED)
            leases.release(taken[0], 3600)

    def backup(self, ident: str) -> Backup:
        with self.store.reading() as tx:
            return tx.backups.get(ident)

    def all(self) -> list[Backup]:
        with self.store.reading() as tx:
            return tx.backups.newest(self.app.id)

    def work(self, ident: str, looks: int = 12) -> Backup:
        for _ in range(looks):
            with self.store.saving() as tx:
                tx.backups.nudge(ident)
            taken = self.loop.leases.acquire()
            if taken:
                self.loop.work(*taken)
            self.rest()
        return self.backup(ident)

    def work_or_gone(self, ident: str) -> None:
        """Let the loop have a backup that may come to its end."""
        with contextlib.suppress(errors.NotFound):
            self.work(ident, 3)

    def make(self, service: str = "db") -> Backup:
        [asked] = self.intents.create(CALLER, self.app.id, service)
        return self.work(asked.id, 3)

    def ask(self, wish: Wish, backup: Backup) -> Backup:
        asked = {Wish.VERIFY: self.intents.verify, Wish.RESTORE: self.intents.restore}[wish]
        asked(CALLER, self.app.id, backup.id)
        return self.work(backup.id)

    def survive(self, work: Callable[[], object]) -> bool:
        """Do it; return whether the process died."""
        try:
            work()
        except Killed:
            return True
        return False

    def dying(self, action: type[object], moment: str) -> None:
        """Let the process die once before or after an action."""
        perform = self.noun.actions[action]  # type: ignore[index]

        def once(*arguments: object) -> object:
            self.noun.actions[action] = perform  # type: ignore[index]
            if moment == "after":
                perform(*arguments)
            raise Killed

        self.noun.actions[action] = once  # type: ignore[index, assignment]


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


def test_a_dump_is_made_verified_and_restored(bench: Bench) -> None:
    made = bench.make()
    assert (made.phase, made.observed.size, made.good) == (Phase.READY, 4, True)
    bench.world.database = b""
    proved = bench.ask(Wish.VERIFY, made)
    assert (proved.phase, bench.world.loaded, bench.world.database) == (Phase.READY, b"rows", b"")
    assert proved.observed.verified_at
    restored = bench.ask(Wish.RESTORE, made)
    assert (restored.phase, bench.world.database) == (Phase.READY, b"rows")
    assert bench.world.left() == 0


def test_volumes_are_archived_verified_and_restored(bench: Bench) -> None:
    made = bench.make("store")
    assert (made.phase, made.observed.size) == (Phase.READY, 8)
    bench.world.volumes["files"] = b"broken"
    assert bench.ask(Wish.VERIFY, made).observed.verified_at
    restored = bench.ask(Wish.RESTORE, made)
    assert (restored.phase, restored.status_reason) == (Phase.READY, None)
    assert bench.world.volumes == {"files": b"pictures", "files.before-restore": b"broken"}
    assert (bench.deployment.scale, bench.world.left()) == ({}, 0)


STEPS = ["_place", "_take", "_unpack", "_hold", "_save", "_replace", "_release", "_tidy", "_delete"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_whoever_dies_on_the_way(bench: Bench, step: str, moment: str) -> None:
    action = next(each for each, method in bench.noun.actions.items() if method.__name__ == step)
    bench.dying(action, moment)
    died = [bench.survive(lambda: bench.make("store"))]
    made = bench.all()[0]
    died.append(bench.survive(lambda: bench.work(made.id)))
    bench.world.volumes["files"] = b"broken"
    bench.intents.restore(CALLER, bench.app.id, made.id)
    died += [bench.survive(lambda: bench.work(made.id)) for _ in range(2)]
    assert bench.backup(made.id).phase is Phase.READY
    assert bench.world.volumes == {"files": b"pictures", "files.before-restore": b"broken"}
    assert (bench.deployment.scale, bench.world.left()) == ({}, 0)
    bench.intents.delete(CALLER, bench.app.id, made.id)
    died += [bench.survive(lambda: bench.work_or_gone(made.id)) for _ in range(2)]
    assert died.count(True) == 1
    assert bench.all() == []
    assert not bench.vault.has(bench.app.id, made.id)


def test_a_dump_that_fails_leaves_nothing_and_tells_no_secret(bench: Bench) -> None:
    bench.world.fails["dump"] = f"access denied (using password: {PASSWORD})"
    failed = bench.make()
    assert failed.phase is Phase.CREATE_FAILED
    assert failed.status_reason == "'dump' exited with code 1\naccess denied (using password: ****)"
    assert not bench.vault.has(bench.app.id, failed.id)


def test_what_speaks_against_a_backup_is_its_flaw(bench: Bench) -> None:
    made = bench.make()
    bench.world.fails["check"] = "no such table"
    flawed = bench.ask(Wish.VERIFY, made)
    assert (flawed.phase, flawed.good) == (Phase.UPDATE_FAILED, False)
    assert "verification failed: 'check' exited with code 1\nno such table" in (flawed.status_reason or "")
    del bench.world.fails["check"]
    assert bench.ask(Wish.VERIFY, made).good
    assert bench.world.left() == 0


@pytest.mark.parametrize("service", ["db", "store"])
def test_a_damaged_one_never_touches_the_service(bench: Bench, tmp_path: pathlib.Path, service: str) -> None:
    made = bench.make(service)
    file = tmp_path / "backups" / bench.app.id / made.id
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    file.write_bytes(damaged)
    bench.world.database, bench.world.volumes["files"] = b"now", b"now"
    for wish in (Wish.VERIFY, Wish.RESTORE):
        failed = bench.ask(wish, made)
        assert failed.phase is Phase.UPDATE_FAILED
        assert "changed or cut off" in (failed.status_reason or "")
    assert (bench.world.database, bench.world.volumes["files"]) == (b"now", b"now")
    assert (bench.deployment.scale, bench.world.left()) == ({}, 0)


def test_what_was_there_is_put_back(bench: Bench) -> None:
    made = bench.make("store")
    bench.world.volumes["files"] = b"now"
    bench.world.fails["copy"] = "no room"
    failed = bench.ask(Wish.RESTORE, made)
    assert failed.phase is Phase.UPDATE_FAILED
    assert bench.world.volumes["files"] == b"now"
    assert (bench.deployment.scale, bench.world.left()) == ({}, 0)


def test_a_backup_that_nobody_wants_any_more_ends(bench: Bench) -> None:
    [asked] = bench.intents.create(CALLER, bench.app.id, "db")
    bench.intents.delete(CALLER, bench.app.id, asked.id)
    with pytest.raises(errors.NotFound):
        bench.work(asked.id, 1)
    assert bench.all() == []


def test_schedules_and_what_is_kept(bench: Bench) -> None:
    began = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)
    asked = bench.make()
    for count in range(5):
        bench.cron.look(began + datetime.timedelta(minutes=5 * count))
        bench.cron.look(began + datetime.timedelta(minutes=5 * count, seconds=1))
        cron.Cron(bench.store, 60, 60).look(began + datetime.timedelta(minutes=5 * count, seconds=2))
        newest = bench.all()[0]
        assert newest.cause is Cause.SCHEDULE
        bench.work(newest.id, 3)
        for each in bench.all():
            if each.phase is Phase.DELETING:
                bench.work_or_gone(each.id)
    assert [each.number for each in bench.all()] == [6, 5, asked.number]
    assert all(each.good for each in bench.all())


def test_failures_do_not_pile_up(bench: Bench) -> None:
    began = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)
    bench.world.fails["dump"] = "no"
    for count in range(4):
        bench.cron.look(began + datetime.timedelta(minutes=5 * count))
        for each in bench.all():
            bench.work_or_gone(each.id)
    assert [each.number for each in bench.all()] == [4, 3]


def test_one_that_comes_too_soon_is_skipped(bench: Bench) -> None:
    bench.intents.create(CALLER, bench.app.id, "db")
    bench.cron.look(datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10))
    skipped = bench.all()[0]
    assert (skipped.phase, skipped.status_reason) == (
        Phase.CREATE_FAILED,
        "skipped: backup 1 of it was still being worked on",
    )
