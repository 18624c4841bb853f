# SPDX-License-Identifier: Apache-2.0
"""The planner of jobs, and the release stage in the planner of deployments: what is done, and what never happens."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from stackyard.model.applications import AppSpec, Deployment, Service, Stage
from stackyard.model.jobs import STAGES, Job, JobObserved, Kind, cron_id, stage_id
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import deployments as releases
from stackyard.model.plan import jobs as steps
from stackyard.model.plan.stages import FailStage, StartStage, stages_of
from stackyard.model.ports import JobSeen, Replica, Run, RunSeen

BEGAN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOW = BEGAN.timestamp()
CREATED, RUNNING = JobSeen("created"), JobSeen("running", started_at=NOW)
DONE, BAD = JobSeen("exited", 0, "", NOW, NOW + 1), JobSeen("exited", 3, "exited with code 3", NOW, NOW + 1)


def job(**fields: object) -> Job:
    kept: dict[str, object] = {"kind": Kind.RUN, "command": ("true",), **fields}
    return Job(
        project_id="p",
        name="run.1",
        app_id="a",
        number=1,
        deployment_id="d",
        release=1,
        service="web",
        created_at=BEGAN,
        **kept,  # type: ignore[arg-type]
    )


def placed(**fields: object) -> Job:
    return job(observed=JobObserved(node="n1"), **fields)


def plan(of: Job, container: JobSeen | None = None, **seen: object) -> Action | None:
    look = steps.Seen(container, **{"kept": frozenset({"n1"}), "now": NOW, **seen})  # type: ignore[arg-type]
    return next(iter(steps.plan_job(of, look)), None)


def test_the_way_of_a_job() -> None:
    assert plan(job(), node="n1") == steps.PlaceJob("n1")
    assert isinstance(plan(job()), Wait)
    assert plan(placed()) == steps.CreateJob()
    assert plan(placed(), CREATED) == steps.StartJob()
    assert isinstance(plan(placed(), RUNNING), Wait)
    assert plan(placed(), DONE) is None
    assert plan(placed(), BAD) == steps.FailJob("exited with code 3")


def test_who_attaches_starts_it() -> None:
    attached = placed(attached=True)
    assert isinstance(plan(attached, CREATED), Wait)
    late = plan(attached, CREATED, now=NOW + 61)
    assert isinstance(late, steps.FailJob)
    assert "nobody attached" in late.reason


def test_what_runs_for_long_keeps_no_thread() -> None:
    waits = {kind: plan(placed(kind=kind), RUNNING) for kind in Kind}
    assert {kind: (each.nudged, each.seconds <= 1) for kind, each in waits.items() if isinstance(each, Wait)} == {
        kind: (kind not in STAGES, True) for kind in Kind
    }


@pytest.mark.parametrize("container", [None, CREATED])
def test_it_is_stopped_before_it_began(container: JobSeen | None) -> None:
    assert plan(placed(stop="enough"), container) == steps.FailJob("enough")
    assert plan(job(stop="enough"), node="n1") == steps.FailJob("enough")


def test_it_is_stopped() -> None:
    stopping = placed(stop="enough")
    assert plan(stopping, RUNNING) == steps.StopJob()
    for over in (DONE, BAD):
        assert plan(stopping, over) == steps.FailJob("enough")


def test_a_container_that_is_lost_is_not_made_again() -> None:
    began = job(observed=JobObserved(node="n1", started_at=NOW))
    assert isinstance(plan(began), steps.FailJob)
    assert isinstance(plan(placed(), kept=frozenset()), steps.FailJob)
    ended_well = job(observed=JobObserved(node="n1", started_at=NOW, ended_at=NOW, exit_code=0))
    assert plan(ended_well) is None


def test_history() -> None:
    for phase in (Phase.READY, Phase.CREATE_FAILED):
        over = job(phase=phase, observed=JobObserved("n1", NOW, NOW + 1, 0))
        assert plan(over, DONE) is None
        assert plan(over, DONE, surplus=True) == steps.RemoveJob()
        assert plan(over, DONE, now=NOW + 2 + steps.KEPT_SECONDS) == steps.RemoveJob()
        cleared = dataclasses.replace(over, observed=dataclasses.replace(over.observed, cleared=True))
        assert plan(cleared, surplus=True) is None
        assert steps.over(cleared)
        assert not steps.over(over)
    timed_out = job(phase=Phase.CREATE_FAILED, observed=JobObserved("n1", NOW))
    assert plan(timed_out, RUNNING) == steps.StopJob()


def test_it_goes_with_its_application() -> None:
    assert plan(placed(phase=Phase.DELETING), RUNNING) == steps.RemoveJob()
    assert plan(placed(phase=Phase.DELETING)) is None


def test_ids_follow_from_what_they_are_for() -> None:
    assert stage_id("d", 1, "migrate") == stage_id("d", 1, "migrate")
    assert len({stage_id("d", 1, "m"), stage_id("d", 2, "m"), stage_id("e", 1, "m"), cron_id("d", "m", 1)}) == 4


# --- the release stage --------------------------------------------------------------------------

SPEC = AppSpec(
    (
        Service("redis", image="r"),
        Service("migrate", image="i", stage=Stage.RELEASE, depends_on=("redis",)),
        Service("warm", image="i", stage=Stage.RELEASE),
        Service("web", image="i", port=8000),
        Service("tidy", image="i", stage=Stage.CRON, schedule="* * * * *"),
    )
)


def wanted(name: str) -> Run:
    service = next(each for each in SPEC.services if each.name == name)
    return Run(f"{name}-2", "a", 2, service, 1, {}, "d2")


def there(run: Run) -> RunSeen:
    task = Replica(run.name, run.name, run.service.name, 1, "n1", "running", "10.0.0.2:1")
    return RunSeen(run.name, "a", run.service.name, 2, run.digest, 1, (task,))


def deployment(serving: int = 1) -> Deployment:
    return Deployment(project_id="p", name="s", app_id="a", cluster_id="c", release=2, serving=serving)


def next_step(jobs: dict[str, Job], *running: str, staged: bool = True) -> Action:
    runs = tuple(wanted(name) for name in ("redis", "web"))
    wish = releases.Wish(runs, stages=stages_of(SPEC) if staged else ())
    seen = releases.Seen(tuple(there(wanted(name)) for name in running), nodes=("n1",), stages=jobs, now=NOW)
    return releases.plan_deployment(deployment(), wish, seen)[0]


def stage(phase: Phase = Phase.CREATING, reason: str | None = None) -> Job:
    return job(kind=Kind.RELEASE, phase=phase, status_reason=reason)


def test_the_release_stage_comes_before_all_but_what_it_needs() -> None:
    first = next_step({})
    assert isinstance(first, releases.StartRun)
    assert first.run.service.name == "redis"
    assert next_step({}, "redis") == StartStage("migrate")
    waiting = next_step({"migrate": stage()}, "redis")
    assert isinstance(waiting, Wait)
    assert waiting.nudged
    assert next_step({"migrate": stage(Phase.READY)}, "redis") == StartStage("warm")
    after = next_step({"migrate": stage(Phase.READY), "warm": stage(Phase.READY)}, "redis")
    assert isinstance(after, releases.StartRun)
    assert after.run.service.name == "web"


def test_a_failed_stage_fails_the_release_with_its_words() -> None:
    failed = next_step({"migrate": stage(Phase.CREATE_FAILED, "exited with code 1\nno such table")}, "redis")
    assert isinstance(failed, FailStage)
    assert failed.reason == "the release stage failed: migrate exited with code 1\nno such table"


def test_without_a_stage_nothing_is_waited_for() -> None:
    assert isinstance(next_step({}, "redis", staged=False), releases.StartRun)
