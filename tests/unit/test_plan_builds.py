# SPDX-License-Identifier: Apache-2.0
"""The steps of a push, and whose turn it is."""

from __future__ import annotations

import dataclasses

from stackyard.model.builds import Build, BuildObserved, Source
from stackyard.model.plan import Wait
from stackyard.model.plan import builds as steps


def build(number: int = 2, **observed: object) -> Build:
    return Build(
        project_id="p",
        name=f"shop-{number}",
        app_id="app",
        number=number,
        source=Source(digest="d"),
        observed=BuildObserved(**observed),  # type: ignore[arg-type]
    )


def test_a_push_waits_for_the_one_before_it() -> None:
    plan = steps.plan_build(build(2), steps.Seen(earlier=True, newest=2))
    assert isinstance(plan[0], Wait)
    assert isinstance(steps.plan_build(build(2), steps.Seen(newest=2))[0], steps.FetchSource)


def test_of_those_that_wait_the_newest_wins() -> None:
    plan = steps.plan_build(build(2), steps.Seen(earlier=True, newest=3))
    assert plan == [steps.Abandon("push 3 came while this one waited for its turn, and takes it")]
    assert isinstance(steps.plan_build(build(3), steps.Seen(earlier=True, newest=3))[0], Wait)


def test_a_push_that_has_begun_is_not_given_up_for_a_newer_one() -> None:
    under_way = build(2, digest="d")
    assert isinstance(steps.plan_build(under_way, steps.Seen(newest=3))[0], steps.DetectServices)
    released = dataclasses.replace(under_way.observed, release=7)
    done = dataclasses.replace(under_way, observed=released)
    assert steps.plan_build(done, steps.Seen(newest=3)) == []


def test_a_rebase_has_one_step_of_its_own() -> None:
    asked = dataclasses.replace(build(2), source=Source(rebase=True))
    assert steps.plan_build(asked, steps.Seen()) == [steps.RebaseImages()]
    assert isinstance(steps.plan_build(asked, steps.Seen(earlier=True, newest=2))[0], Wait)
