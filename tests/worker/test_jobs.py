# SPDX-License-Identifier: Apache-2.0
"""The worker's loop on jobs of a fake engine and a real database: once each, whoever dies on the way; schedules."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
from collections.abc import Callable, Mapping

import pytest

from stackyard.drivers.workloads.fake import FakeWorkloads
from stackyard.drivers.workloads.fake_jobs import FakeJobs
from stackyard.intents.jobs import Command
from stackyard.intents.jobs import Jobs as Intents
from stackyard.intents.rules import Rules
from stackyard.model import errors
from stackyard.model.applications import Application, AppSpec, Deployment, Release, Service, Stage
from stackyard.model.builds import Build, Source
from stackyard.model.clusters import Cluster, ClusterObserved, Node
from stackyard.model.jobs import HISTORY, OUTPUTS, Job
from stackyard.model.phase import Phase, Trigger
from stackyard.model.ports import Route, Told
from stackyard.model.records import Caller, utcnow
from stackyard.store import Store
from stackyard.store.leases import Leases
from stackyard.worker import cron
from stackyard.worker.deployments import Deployments, Places
from stackyard.worker.faults import Faults
from stackyard.worker.jobs import LOOK_SECONDS, Jobs
from stackyard.worker.reconciler import Reconciler
from tests.worker.open_authorities import OpenAuthorities

CALLER = Caller("u", "p", frozenset({"member"}))
MIGRATE, TIDY = ("migrate",), ("tidy",)
WEB = Service("web", image="i", command=("serve",))
STAGE = Service("migrate", image="i", command=MIGRATE, stage=Stage.RELEASE)
CRON = Service("tidy", image="i", command=TIDY, stage=Stage.CRON, schedule="*/5 * * * *")


class Killed(BaseException):
    """The process is no more."""


class Router:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.routes: dict[str, tuple[Mapping[str, str], Route | None]] = {}

    def hosts(self, owner: str = "") -> list[str]:
        return list(self.routes)

    def servers(self, host: str) -> Mapping[str, str]:
        return self.routes[host][0]

    def told(self, host: str) -> Told:
        route = self.routes[host][1]
        return Told(route.mark, route.note) if route else Told()

    def put(self, host: str, servers: Mapping[str, str], route: Route | None = None) -> None:
        self.routes[host] = (servers, route)

    def remove(self, host: str, owner: str = "") -> None:
        self.routes.pop(host, None)

    def idle(self, host: str, server: str) -> bool:
        return True


class Bench:
    """An application with a cluster of one node, worked on by hand."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.store = Store(f"sqlite:///{folder}/db")
        self.store.migrate()
        self.jobs = FakeJobs()
        self.authorities = OpenAuthorities(folder)
        self.noun = Jobs(self.store, self.jobs, self.authorities)  # type: ignore[arg-type]
        places = Places("localhost", 1)
        workloads = FakeWorkloads()
        self.releases = Deployments(self.store, workloads, Router(), self.authorities, places)  # type: ignore[arg-type]
        faults = Faults(folder)
        self.loop = Reconciler(self.noun, Leases(self.store, self.noun.rows, 0.0), LOOK_SECONDS, faults)
        self.rollout = Reconciler(self.releases, Leases(self.store, self.releases.rows, 0.0), 30, faults)
        self.intents = Intents(self.store, Rules())
        self.cron = cron.Cron(self.store, 60)
        with self.store.transaction() as tx:
            node = Node("n1", "g", "master", "10.0.0.2", "ready")
            self.cluster = tx.clusters.insert(
                Cluster(
                    project_id="p",
                    name="c",
                    user_id="u",
                    template_id="t",
                    coe="swarm",
                    secrets="s",
                    observed=ClusterObserved(nodes=(node,)),
                )
            )
            self.app = tx.applications.insert(Application(project_id="p", name="shop", project_name="demo"))
            self.place = tx.deployments.insert(
                Deployment(
                    project_id="p", name="shop", app_id=self.app.id, cluster_id=self.cluster.id, phase=Phase.READY
                )
            )

    def release(self, number: int, *services: Service, **fields: object) -> None:
        """Ask for a release."""
        made = Release(project_id="p", app_id=self.app.id, number=number, spec=AppSpec(services), **fields)  # type: ignore[arg-type]
        with self.store.transaction() as tx:
            tx.releases.insert(made)
            deadline = utcnow() + datetime.timedelta(seconds=60)
            tx.deployments.change(self.deployment, Trigger.CHANGE, "release", deadline=deadline, release=number)

    def serve(self, number: int, *services: Service, **fields: object) -> None:
        """Have a release asked for and serving."""
        self.release(number, *services, **fields)
        self.settle()
        assert self.deployment.serving == number

    @property
    def deployment(self) -> Deployment:
        with self.store.reading() as tx:
            return tx.deployments.get(self.place.id)

    def all(self) -> list[Job]:
        with self.store.reading() as tx:
            return tx.jobs.newest(self.app.id)

    def job(self, ident: str) -> Job:
        with self.store.reading() as tx:
            return tx.jobs.get(ident)

    def work(self, ident: str, looks: int = 12) -> Job:
        """Let the loop have a job a few times."""
        for _ in range(looks):
            self._once(self.loop, lambda tx: tx.jobs.nudge(ident))
        return self.job(ident)

    def settle(self, looks: int = 25) -> None:
        """Let the loops have the deployment and all jobs by turns."""
        for _ in range(looks):
            self._once(self.rollout, lambda tx: tx.deployments.nudge(self.place.id))
            for job in self.all():
                if job.phase is Phase.CREATING:
                    self._once(self.loop, lambda tx, ident=job.id: tx.jobs.nudge(ident))

    def _once(self, loop: Reconciler, nudge: Callable[..., None]) -> None:
        with self.store.saving() as tx:
            nudge(tx)
        taken = loop.leases.acquire()
        if taken:
            loop.work(*taken)

    def run(self, *words: str, **more: object) -> Job:
        return self.intents.run(CALLER, self.app.id, Command(words, **more))  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    return Bench(tmp_path)


def test_a_command_runs_once(bench: Bench) -> None:
    with pytest.raises(errors.Conflict, match="no release yet"):
        bench.run("true")
    bench.serve(1, WEB)
    bench.jobs.codes[("true",)] = 0
    done = bench.work(bench.run("true").id)
    assert (done.phase, done.observed.exit_code, done.label) == (Phase.READY, 0, f"run.{done.number}")
    assert bench.jobs.starts[done.id] == 1
    bench.jobs.codes[("false",)] = 1
    failed = bench.work(bench.run("false").id)
    assert failed.phase is Phase.CREATE_FAILED
    assert (failed.status_reason or "").splitlines() == ["exited with code 1", "ran false with"]
    with pytest.raises(errors.BadInput, match="there are: web"):
        bench.run("true", service="api")


@pytest.mark.parametrize("step", ["_place", "_create", "_start"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_whoever_dies_on_the_way(bench: Bench, step: str, moment: str) -> None:
    bench.serve(1, WEB)
    bench.jobs.codes[("true",)] = 0
    action = next(each for each, method in bench.noun.actions.items() if method.__name__ == step)
    perform, dead = bench.noun.actions[action], []

    def dying(*arguments: object) -> object:
        if dead:
            return perform(*arguments)  # type: ignore[arg-type]
        dead.append(True)
        if moment == "after":
            perform(*arguments)  # type: ignore[arg-type]
        raise Killed

    bench.noun.actions[action] = dying  # type: ignore[assignment]
    job = bench.run("true")
    with pytest.raises(Killed):
        bench.work(job.id)
    done = bench.work(job.id)
    assert done.phase is Phase.READY
    assert bench.jobs.starts[job.id] == 1


def test_stopping_and_attaching(bench: Bench) -> None:
    bench.serve(1, WEB)
    endless = bench.run("endless")
    assert bench.work(endless.id).observed.started_at > 0
    bench.intents.stop(endless, "enough")
    stopped = bench.work(endless.id)
    assert (stopped.phase, (stopped.status_reason or "").splitlines()[0]) == (Phase.CREATE_FAILED, "enough")
    bench.intents.stop(stopped, "again")
    assert bench.job(endless.id).phase is Phase.CREATE_FAILED
    attached = bench.run("true", attached=True)
    waiting = bench.work(attached.id)
    assert (waiting.phase, bench.jobs.starts[attached.id]) == (Phase.CREATING, 0)


def test_output_and_history_are_bounded(bench: Bench) -> None:
    bench.serve(1, WEB)
    bench.jobs.codes[("true",)] = 0
    made = [bench.work(bench.run("true").id, looks=6) for _ in range(OUTPUTS + 2)]
    gone = [bench.work(job.id, looks=2).observed.cleared for job in made]
    assert gone == [True, True] + [False] * OUTPUTS
    with bench.store.saving() as tx:
        for number in range(100, 100 + HISTORY):
            cleared = dataclasses.replace(made[0].observed, cleared=True)
            tx.jobs.insert(dataclasses.replace(made[0], id=f"j{number}", number=number, observed=cleared))
    assert made[0].id not in [job.id for job in bench.all()]
    with bench.store.reading() as tx:
        assert tx.jobs.list(id=made[0].id) == []
        assert len(tx.jobs.list(app_id=bench.app.id)) <= HISTORY + OUTPUTS


# --- the release stage --------------------------------------------------------------------------


def push(bench: Bench) -> Build:
    with bench.store.transaction() as tx:
        made = Build(project_id="p", name="shop-1", app_id=bench.app.id, number=1, source=Source(digest="d"))
        return tx.builds.insert(made)


def test_the_release_stage_runs_once_and_before_the_release(bench: Bench) -> None:
    bench.release(1, STAGE, WEB)
    bench.settle(3)
    [job] = bench.all()
    assert bench.deployment.serving == 0
    assert bench.deployment.deadline
    assert (bench.deployment.deadline - utcnow()).total_seconds() > 500
    bench.jobs.end(job.id, 0)
    bench.settle()
    assert bench.deployment.serving == 1
    assert [(each.id, each.phase) for each in bench.all()] == [(job.id, Phase.READY)]
    assert bench.jobs.starts == {job.id: 1}


def test_a_failed_stage_keeps_the_old_release(bench: Bench) -> None:
    build = push(bench)
    bench.jobs.codes[MIGRATE] = 0
    bench.serve(1, STAGE, WEB)
    bench.jobs.codes[MIGRATE] = 1
    config = bench.authorities.secrets.seal(json.dumps({"PASSWORD": "tell-nobody"}))
    bench.release(2, STAGE, WEB, config=config, secret_keys=("PASSWORD",), build_id=build.id)
    bench.settle()
    now = bench.deployment
    assert (now.serving, now.release, now.phase) == (1, 1, Phase.UPDATE_FAILED)
    assert (now.status_reason or "").splitlines() == [
        "the release stage failed: migrate exited with code 1",
        "ran migrate with ****",
    ]
    with bench.store.reading() as tx:
        told = "".join(text for _, text in tx.builds.log(build.id))
    assert told == "migrate: ran migrate with ****\nrelease stage migrate failed: exited with code 1\n"


def test_an_environment_without_a_release_goes(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        tx.deployments.change(bench.deployment, Trigger.DELETE, "removal asked for")
    bench.settle(4)
    with bench.store.reading() as tx:
        assert tx.deployments.list() == []


def test_a_rollback_runs_no_stage(bench: Bench) -> None:
    bench.jobs.codes[MIGRATE] = 0
    bench.serve(1, STAGE, WEB)
    bench.jobs.codes[MIGRATE] = 1
    bench.serve(2, STAGE, WEB, skips_stage=True)
    assert len(bench.all()) == 1


# --- schedules ----------------------------------------------------------------------------------


def at(bench: Bench, minutes: float) -> datetime.datetime:
    """Return a time so many minutes after a full hour, long after the release was made."""
    hour = utcnow().replace(minute=0, second=0, microsecond=0) + datetime.timedelta(hours=2)
    return hour + datetime.timedelta(minutes=minutes)


def test_a_schedule_fires_once_a_time_in_any_number_of_workers(bench: Bench) -> None:
    bench.jobs.codes[TIDY] = 0
    bench.serve(1, WEB, CRON)
    workers = [bench.cron, cron.Cron(bench.store, 60)]
    for minute in (0, 0.2, 4.9):
        for worker in workers:
            worker.look(at(bench, minute))
    [first] = bench.all()
    assert bench.work(first.id).phase is Phase.READY
    for worker in workers:
        assert worker.look(at(bench, 5)) == cron.LOOK_SECONDS
    assert len(bench.all()) == 2
    assert bench.cron.look(at(bench, 9.99)) == pytest.approx(0.6, abs=0.01)


def test_what_was_missed_is_made_up_for_once(bench: Bench) -> None:
    bench.jobs.codes[TIDY] = 0
    bench.serve(1, WEB, CRON)
    bench.cron.look(at(bench, 0))
    bench.work(bench.all()[0].id)
    cron.Cron(bench.store, 60).look(at(bench, 58))
    assert [job.name[-5:] for job in bench.all()] == [f"{at(bench, 55):%H:%M}", f"{at(bench, 0):%H:%M}"]


def test_nothing_is_due_before_the_release_was_there(bench: Bench) -> None:
    bench.serve(1, WEB, CRON)
    with bench.store.reading() as tx:
        made = tx.releases.number(bench.app.id, 1).created_at
    bench.cron.look(made)
    assert bench.all() == []


def test_never_two_at_once(bench: Bench) -> None:
    bench.serve(1, WEB, CRON)
    bench.cron.look(at(bench, 0))
    first = bench.work(bench.all()[0].id)
    assert first.phase is Phase.CREATING
    for worker in (bench.cron, cron.Cron(bench.store, 60)):
        worker.look(at(bench, 5))
    skipped, _ = bench.all()
    assert skipped.phase is Phase.CREATE_FAILED
    assert skipped.status_reason == f"skipped: job {first.number}, which began before it, still runs"
    with bench.store.reading() as tx:
        told = [event.message for event in tx.events.of([bench.place.id]) if event.kind == "skipped"]
    assert len(told) == 1
    bench.jobs.end(first.id, 0)
    bench.work(first.id)
    bench.cron.look(at(bench, 10))
    assert len(bench.all()) == 3
