# SPDX-License-Identifier: Apache-2.0
"""Processes with what they use, and history with who asked: as they are, and as others may not see them."""

from __future__ import annotations

import pytest

from tests.api.world import OTHER, World

APP = "/application-deployment/v1/apps/shop"


def test_use_is_told_where_it_is_asked_for(full: World) -> None:
    (plain,) = full.call("GET", f"{APP}/processes").json
    assert (plain["state"], plain["cpu"], plain["memory"]) == ("running", None, None)
    (used,) = full.call("GET", f"{APP}/processes?usage=1").json
    assert (used["cpu"], used["memory"], used["memory_limit"]) == (0.5, 1 << 20, 2 << 20)
    assert (used["restarts"], used["loop"], used["image"]) == (0, "", "sha256:ab")


def test_history_tells_who_and_goes_on_behind_an_event(full: World) -> None:
    full.call("POST", f"{APP}/workflows", {"source": {"repository": "https://u:pass@example.org/a.git"}})
    events = full.call("GET", f"{APP}/events").json
    pushed = next(event for event in events if event["kind"] == "pushed")
    assert pushed["message"].startswith("ANN pushed https://")
    assert "pass" not in pushed["message"]
    assert full.call("GET", f"{APP}/events?after={events[-1]['id']}").json == []
    assert full.call("GET", f"{APP}/events?after={events[0]['id']}").json == events[1:]
    assert full.call("GET", f"{APP}/events?tail=1").json == events[-1:]
    assert full.call("GET", f"{APP}/events?since=1h").json == events
    assert full.call("GET", f"{APP}/events?since=2999-01-01T00:00:00Z").json == []


@pytest.mark.parametrize("query", ["after=x", "tail=-1", "since=yesterday", "colour=1"])
def test_wrong_words_about_history(full: World, query: str) -> None:
    assert full.call("GET", f"{APP}/events?{query}").status_code == 400


@pytest.mark.parametrize("what", ["events", "processes", "processes?usage=1"])
def test_another_projects_do_not_exist(full: World, what: str) -> None:
    assert full.call("GET", f"{APP}/{what}", token=OTHER).status_code == 404


def test_each_service_that_listens_has_its_address(full: World) -> None:
    shown = full.call("GET", APP).json
    assert shown["urls"]["web"] == shown["app_url"]
