# SPDX-License-Identifier: Apache-2.0
"""Lists page by page."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.api.world import ADMIN, OTHER, World

CLUSTERS = "/container-infra/v1/clusters"
NAMES = ["delta", "alpha", "echo", "bravo", "charlie"]


@pytest.fixture
def five(world: World) -> World:
    for name in NAMES:
        world.cluster(name)
    return world


def pages(world: World, path: str) -> list[list[str]]:
    found = []
    while path:
        answer = world.call("GET", path).json
        found.append([each["name"] for each in answer["clusters"]])
        parts = urlsplit(answer.get("next", ""))
        path = f"{parts.path}?{parts.query}" if answer.get("next") else ""
    return found


def test_pages_follow_each_other_and_a_full_last_one_leads_to_an_empty_one(five: World) -> None:
    assert pages(five, CLUSTERS) == [NAMES]
    assert pages(five, f"{CLUSTERS}?limit=2") == [NAMES[:2], NAMES[2:4], NAMES[4:]]
    assert pages(five, f"{CLUSTERS}/?limit=5") == [NAMES, []]


def test_sorted_pages(five: World) -> None:
    ordered = sorted(NAMES)
    assert pages(five, f"{CLUSTERS}/detail?limit=2&sort_key=name") == [ordered[:2], ordered[2:4], ordered[4:]]
    assert pages(five, f"{CLUSTERS}?limit=3&sort_key=name&sort_dir=desc") == [ordered[:1:-1], ordered[1::-1]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=" + "9" * 30,
        "sort_key=labels",
        "sort_dir=up",
        "marker=none",
        "colour=1",
    ],
)
def test_what_no_page_is(shared: World, query: str) -> None:
    answer = shared.call("GET", f"{CLUSTERS}?{query}")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["title"]


def test_a_marker_of_another_project_tells_nothing(five: World) -> None:
    uuid = five.call("GET", f"{CLUSTERS}/alpha").json["uuid"]
    theirs, absent = (five.call("GET", f"{CLUSTERS}?marker={marker}", token=OTHER) for marker in (uuid, uuid[::-1]))
    assert theirs.status_code == absent.status_code == 400
    assert theirs.text.replace(uuid, "") == absent.text.replace(uuid[::-1], "")


def test_admins_see_all_projects(five: World) -> None:
    five.cluster("foreign", OTHER)
    assert len(five.call("GET", CLUSTERS, token=ADMIN).json["clusters"]) == 6
    assert five.call("GET", f"{CLUSTERS}/foreign", token=ADMIN).status_code == 200
    assert five.call("GET", "/container-infra/v1/stats", token=ADMIN).json == {"clusters": 6, "nodes": 12}
    assert five.call("GET", "/container-infra/v1/stats").json == {"clusters": 5, "nodes": 10}
