# SPDX-License-Identifier: Apache-2.0
"""Stages of releases worked on by the loop: once each, in order, whoever dies on the way."""

from __future__ import annotations

import pathlib

import pytest

from stackyard.model import errors
from stackyard.model.applications import Service, Stage
from stackyard.model.jobs import Kind
from stackyard.model.phase import Phase
from tests.worker.test_jobs import CALLER, WEB, Bench, Killed

INIT = Service("init", image="i", command=("init",), stage=Stage.INIT)
EXPAND = Service("expand", image="i", command=("expand",), stage=Stage.PRE_UPGRADE)
CONTRACT = Service("contract", image="i", command=("contract",), stage=Stage.POST_UPGRADE)
PROBE = Service("probe", image="i", command=("probe",), stage=Stage.CHECK)
ALL = (INIT, EXPAND, CONTRACT, PROBE, WEB)
CODES = {service.command: 0 for service in (INIT, EXPAND, CONTRACT, PROBE)}


@pytest.fixture
def bench(tmp_path: pathlib.Path) -> Bench:
    made = Bench(tmp_path)
    made.releases.places = type(made.releases.places)("localhost", 1, proving_seconds=0)
    made.jobs.codes.update(CODES)
    return made


def kinds(bench: Bench) -> list[tuple[Kind, int]]:
    return [(job.kind, job.release) for job in reversed(bench.all())]


def test_each_at_its_time(bench: Bench) -> None:
    bench.serve(1, *ALL)
    assert kinds(bench) == [(Kind.INIT, 1)]
    assert list(bench.deployment.initialised) == ["init"]
    bench.serve(2, *ALL)
    bench.settle()
    assert kinds(bench) == [(Kind.INIT, 1), (Kind.PRE_UPGRADE, 2), (Kind.POST_UPGRADE, 2)]
    assert (bench.deployment.phase, bench.deployment.upgrading) == (Phase.READY, 0)
    bench.serve(3, *ALL, skips_stage=True)
    bench.settle()
    assert len(kinds(bench)) == 3


def test_a_release_that_fails_after_init_has_initialised_all_the_same(bench: Bench) -> None:
    bench.jobs.codes[("init",)] = 1
    bench.release(1, *ALL)
    bench.settle()
    assert (bench.deployment.serving, bench.deployment.initialised) == (0, {})
    bench.jobs.codes[("init",)] = 0
    bench.serve(2, *ALL)
    assert kinds(bench) == [(Kind.INIT, 1), (Kind.INIT, 2)]
    bench.serve(3, *ALL)
    assert [kind for kind, _ in kinds(bench)].count(Kind.INIT) == 2


def test_a_failed_post_upgrade_is_told_and_the_release_serves(bench: Bench) -> None:
    bench.serve(1, *ALL)
    bench.jobs.codes[("contract",)] = 1
    bench.serve(2, *ALL)
    bench.settle()
    now = bench.deployment
    assert (now.serving, now.release, now.phase, now.upgrading) == (2, 2, Phase.UPDATE_FAILED, 0)
    assert (now.status_reason or "").startswith("the post_upgrade stage failed: contract exited with code 1")
    assert (now.status_reason or "").endswith("release 2 serves all the same")
    bench.jobs.codes[("contract",)] = 0
    bench.serve(3, *ALL)
    bench.settle()
    assert bench.deployment.phase is Phase.READY


@pytest.mark.parametrize("step", ["StartStage", "Initialised", "Serve", "Upgraded"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_whoever_dies_on_the_way(bench: Bench, step: str, moment: str) -> None:
    first = 2 if step == "Upgraded" else 1
    if first == 2:
        bench.serve(1, *ALL)
    action = next(each for each in bench.releases.actions if each.__name__ == step)
    perform, dead = bench.releases.actions[action], []

    def dying(*arguments: object) -> object:
        if dead:
            return perform(*arguments)
        dead.append(True)
        if moment == "after":
            perform(*arguments)
        raise Killed

    bench.releases.actions[action] = dying  # type: ignore[assignment]
    bench.release(first, *ALL)
    with pytest.raises(Killed):
        bench.settle()
    bench.settle()
    if first == 1:
        bench.serve(2, *ALL)
        bench.settle()
    assert kinds(bench) == [(Kind.INIT, 1), (Kind.PRE_UPGRADE, 2), (Kind.POST_UPGRADE, 2)]
    assert all(count == 1 for count in bench.jobs.starts.values())
    assert (bench.deployment.serving, bench.deployment.upgrading) == (2, 0)


def test_checks_run_when_asked_for(bench: Bench) -> None:
    with pytest.raises(errors.Conflict, match="no release yet"):
        bench.intents.check(CALLER, bench.app.id)
    bench.serve(1, WEB)
    with pytest.raises(errors.BadInput, match="has no checks"):
        bench.intents.check(CALLER, bench.app.id)
    bench.serve(2, *ALL)
    bench.settle()
    [made] = bench.intents.check(CALLER, bench.app.id)
    assert (made.kind, made.service, made.release) == (Kind.CHECK, "probe", 2)
    assert bench.work(made.id).phase is Phase.READY
