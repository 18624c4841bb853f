# SPDX-License-Identifier: Apache-2.0
"""The planner of stages: what comes when on a release's way, what is done once only, what a failure means."""

from __future__ import annotations

import dataclasses

from stackyard.model.applications import AppSpec, Deployment, Service, Stage
from stackyard.model.jobs import Job, Kind
from stackyard.model.phase import Phase
from stackyard.model.plan import Action, Wait
from stackyard.model.plan import deployments as releases
from stackyard.model.plan.stages import FailStage, Initialised, StartStage, Upgraded, after, before, stages_of
from stackyard.model.ports import Replica, Run, RunSeen

NOW = 1_000_000.0
SPEC = AppSpec(
    (
        Service("db", image="i"),
        Service("contract", image="i", stage=Stage.POST_UPGRADE),
        Service("migrate", image="i", stage=Stage.RELEASE),
        Service("bootstrap", image="i", stage=Stage.INIT, depends_on=("db",)),
        Service("expand", image="i", stage=Stage.PRE_UPGRADE, depends_on=("db",)),
        Service("web", image="i"),
        Service("probe", image="i", stage=Stage.CHECK),
    )
)
STAGES = tuple(dataclasses.replace(each, digest="d") for each in stages_of(SPEC))


def deployment(**fields: object) -> Deployment:
    given: dict[str, object] = {"release": 2, **fields}
    return Deployment(project_id="p", name="s", app_id="a", cluster_id="c", **given)  # type: ignore[arg-type]


def names(of: Deployment) -> list[str]:
    return [stage.service for stage in before(of, STAGES)]


def job(phase: Phase, reason: str | None = None) -> Job:
    return Job(
        project_id="p",
        name="j",
        app_id="a",
        number=1,
        deployment_id="d",
        kind=Kind.INIT,
        release=2,
        service="s",
        phase=phase,
        status_reason=reason,
    )


def run(name: str, release: int = 2) -> Run:
    return Run(f"{name}-{release}", "a", release, Service(name, image="i"), 1, {}, f"d{release}")


def there(of: Run) -> RunSeen:
    task = Replica(of.name, of.name, of.service.name, 1, "n1", "running")
    return RunSeen(of.name, "a", of.service.name, of.release, of.digest, 1, (task,))


def step(of: Deployment, jobs: dict[str, Phase], *running: Run) -> Action | None:
    wish = releases.Wish(
        (run("db"), run("web")), stages=before(of, STAGES), after=after(of, STAGES), proving_seconds=30
    )
    seen = releases.Seen(
        tuple(there(each) for each in running),
        nodes=("n1",),
        stages={name: job(phase, "exited with code 1") for name, phase in jobs.items()},
        now=NOW,
    )
    return next(iter(releases.plan_deployment(of, wish, seen)), None)


def test_which_stages_a_release_has_before_it_serves() -> None:
    assert names(deployment()) == ["bootstrap", "migrate"]
    assert names(deployment(serving=1)) == ["expand", "bootstrap", "migrate"]
    assert names(deployment(serving=1, initialised={"bootstrap": "d"})) == ["expand", "migrate"]
    assert names(deployment(serving=2)) == []
    assert names(deployment(serving=3)) == []


def test_init_runs_again_only_where_it_says_so() -> None:
    done = deployment(serving=1, initialised={"bootstrap": "other"})
    assert "bootstrap" not in names(done)
    anew = tuple(dataclasses.replace(stage, again=True) for stage in STAGES)
    assert "bootstrap" in [stage.service for stage in before(done, anew)]
    same = deployment(serving=1, initialised={"bootstrap": "d"})
    assert "bootstrap" not in [stage.service for stage in before(same, anew)]
    told = StartStage("bootstrap", Stage.INIT, changed=True).describe()
    assert told == "init stage: bootstrap, whose inputs have changed"


def test_a_first_release_is_initialised_once_what_it_needs_is_there() -> None:
    of = deployment()
    first = step(of, {})
    assert isinstance(first, releases.StartRun)
    assert first.run.service.name == "db"
    assert step(of, {}, run("db")) == StartStage("bootstrap", Stage.INIT)
    assert isinstance(step(of, {"bootstrap": Phase.CREATING}, run("db")), Wait)
    assert step(of, {"bootstrap": Phase.READY}, run("db")) == Initialised("bootstrap", "d")
    after_it = dataclasses.replace(of, initialised={"bootstrap": "d"})
    assert step(after_it, {}, run("db")) == StartStage("migrate")
    failed = step(of, {"bootstrap": Phase.CREATE_FAILED}, run("db"))
    assert failed == FailStage("the init stage failed: bootstrap exited with code 1")


def test_nothing_new_is_started_before_pre_upgrade_has_ended() -> None:
    of = deployment(serving=1, initialised={"bootstrap": "d"})
    old = (run("db", 1), run("web", 1))
    assert step(of, {}, *old) == StartStage("expand", Stage.PRE_UPGRADE)
    assert step(of, {"expand": Phase.READY}, *old) == StartStage("migrate")


def test_post_upgrade_comes_when_the_release_alone_serves_and_has_proved_itself() -> None:
    of = deployment(serving=2, upgrading=2, former=1, served_at=NOW - 60, initialised={"bootstrap": "d"})
    new, old = (run("db"), run("web")), run("web", 1)
    assert isinstance(step(of, {}, *new, old), releases.StopRun)
    assert step(of, {}, *new) == StartStage("contract", Stage.POST_UPGRADE)
    assert isinstance(step(dataclasses.replace(of, served_at=NOW - 5), {}, *new), Wait)
    assert step(of, {"contract": Phase.READY}, *new) == Upgraded()
    assert step(of, {"contract": Phase.CREATE_FAILED}, *new) == Upgraded(
        "the post_upgrade stage failed: contract exited with code 1"
    )
    assert step(dataclasses.replace(of, upgrading=0), {}, *new) is None


def test_a_newer_wish_and_a_first_release_have_no_post_upgrade() -> None:
    assert after(deployment(release=3, serving=2, upgrading=2), STAGES) == ()
    assert after(deployment(serving=2), STAGES) == ()
