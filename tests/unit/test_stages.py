# SPDX-License-Identifier: Apache-2.0
"""Stages and schedules of services: what Compose files may ask for, and when a schedule is due."""

from __future__ import annotations

import datetime

import pytest

from stackyard.drivers import schedules
from stackyard.drivers.builders import compose
from stackyard.model import errors
from stackyard.model.applications import Service, Stage


def service(asked: str, more: str = "") -> Service:
    text = f"services: {{web: {{image: x}}, task: {{image: x, ports: ['8000'], x-stackyard: {asked}}}{more}}}"
    found = compose.parse(text, lambda _: "")
    return next(each for each in found.services if each.name == "task")


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"{text}+00:00")


def test_stages() -> None:
    assert (service("{stage: release}").stage, service("{stage: release}").port) == (Stage.RELEASE, None)
    cron = service("{cron: ' 30  3 * * mon'}")
    assert (cron.stage, cron.schedule, cron.port) == (Stage.CRON, "30 3 * * mon", None)
    assert (service("{stage: run}").stage, service("{stage: run}").port) == (Stage.RUN, 8000)
    assert service("{}").stage is Stage.RUN


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("{stage: cron}", r"must be one of run, init, .*, not 'cron'; for a schedule write"),
        ("{stage: 7}", "must be one of run, init, pre_upgrade, release, post_upgrade, check"),
        ("{stage: release, cron: '* * * * *'}", "a service has one of them"),
        ("{cron: 5}", "must be a string"),
        ("{cron: '@daily'}", "write its five fields"),
        ("{cron: '* * * *'}", "must have five fields"),
        ("{cron: '* * * * * *'}", "must have five fields"),
        ("{cron: ''}", "must have five fields"),
        ("{cron: '61 * * * *'}", r"there is no such minute\)"),
        ("{cron: '0 0 31 2 *'}", "no schedule"),
        ("{cronn: '* * * * *'}", "did you mean 'cron'"),
        ("[]", "must be a mapping"),
    ],
)
def test_wrong_stages(asked: str, words: str) -> None:
    with pytest.raises(errors.BadInput, match=words) as caught:
        service(asked)
    assert "'task'" in str(caught.value)


def test_nobody_waits_for_what_does_not_go_on_running() -> None:
    with pytest.raises(errors.BadInput, match="'api' depends_on 'task', which does not go on running"):
        service("{stage: release}", ", api: {image: x, depends_on: [task]}")


def test_when_a_schedule_is_due() -> None:
    assert schedules.after("*/5 * * * *", at("2026-03-01T10:00:00")) == at("2026-03-01T10:05:00")
    assert schedules.newest("*/5 * * * *", at("2026-03-01T10:00:00")) == at("2026-03-01T10:00:00")
    assert schedules.newest("*/5 * * * *", at("2026-03-01T10:04:59.999")) == at("2026-03-01T10:00:00")
    assert schedules.newest("30 3 * * *", at("2026-03-01T00:00:00")) == at("2026-02-28T03:30:00")
    assert schedules.newest("0 0 29 2 *", at("2026-03-01T00:00:00")) == at("2024-02-29T00:00:00")
