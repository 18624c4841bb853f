# SPDX-License-Identifier: Apache-2.0
"""Lists page by page."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.api.world import ADMIN, OTHER, World

CLUSTERS = "/container-infra/v1/clusters"
ABSENT = "11111111-1111-4111-8111-111111111111"
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
    assert pages(five, f"{CLUSTERS}/?limit={'9' * 30}") == [NAMES]


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
        "sort_key=labels",
        "sort_dir=up",
        "marker=none",
        "marker=",
        "colour=1",
    ],
)
def test_what_no_page_is(shared: World, query: str) -> None:
    answer = shared.call("GET", f"{CLUSTERS}?{query}")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["title"]


def test_a_marker_of_another_project_tells_nothing(five: World) -> None:
    uuid = five.call("GET", f"{CLUSTERS}/alpha").json["uuid"]
    theirs, absent = (five.call("GET", f"{CLUSTERS}?marker={marker}", token=OTHER) for marker in (uuid, ABSENT))
    assert theirs.status_code == absent.status_code == 404
    assert theirs.text.replace(uuid, "") == absent.text.replace(ABSENT, "")


def test_admins_see_all_projects(five: World) -> None:
    five.cluster("foreign", OTHER)
    assert len(five.call("GET", CLUSTERS, token=ADMIN).json["clusters"]) == 6
    assert five.call("GET", f"{CLUSTERS}/foreign", token=ADMIN).status_code == 200
    assert five.call("GET", "/container-infra/v1/stats", token=ADMIN).json == {"clusters": 6, "nodes": 12}
    assert five.call("GET", "/container-infra/v1/stats").json == {"clusters": 5, "nodes": 10}


def test_node_groups_page_by_page(world: World) -> None:
    cluster = world.cluster()
    latest = {"OpenStack_API_Version": "container-infra latest"}
    path = f"{CLUSTERS}/one/nodegroups"
    for name, role, count in (("b", "gpu", 3), ("a", "worker", 2), ("c", "gpu", 11)):
        body = {"name": name, "role": role, "node_count": count}
        assert world.call("POST", path, body, **latest).status_code == 202

    def listed(query: str) -> list[str]:
        return [each["name"] for each in world.call("GET", f"{path}?{query}", **latest).json["nodegroups"]]

    assert listed("") == ["default-master", "default-worker", "b", "a", "c"]
    assert listed("role=gpu") == ["b", "c"]
    assert listed("role=gpu&limit=1&sort_dir=desc") == ["c"]
    assert listed("sort_key=name&limit=2") == ["a", "b"]
    assert listed("sort_key=node_count&sort_dir=desc&limit=2") == ["c", "b"]
    first = world.call("GET", f"{path}?role=gpu&limit=1", **latest).json
    parts = urlsplit(first["next"])
    second = world.call("GET", f"{parts.path}?{parts.query}", **latest).json
    assert [each["name"] for each in second["nodegroups"]] == ["c"]
    assert world.call("GET", f"{path}?marker={cluster.id}", **latest).status_code == 404
