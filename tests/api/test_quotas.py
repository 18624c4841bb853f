# SPDX-License-Identifier: Apache-2.0
"""Quotas as Magnum's clients set and read them, and that they hold."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.world import ADMIN, MEMBER, OTHER, READER, World

QUOTAS = "/container-infra/v1/quotas"
MINE = f"{QUOTAS}/id-demo/Cluster"


def set_limit(world: World, project: str, limit: int) -> Any:
    return world.call("POST", QUOTAS, {"project_id": project, "resource": "Cluster", "hard_limit": limit}, ADMIN)


def ask(world: World, name: str) -> Any:
    return world.call("POST", "/container-infra/v1/clusters", {"name": name, "cluster_template_id": "t-one"})


def test_a_limit_is_set_shown_changed_and_taken_away(world: World) -> None:
    default = {"hard_limit": 20, "project_id": "id-demo", "resource": "Cluster"}
    assert world.call("GET", MINE, token=READER).json == default
    made = set_limit(world, "id-demo", 5)
    assert made.status_code == 201
    assert {name: value for name, value in made.json.items() if name != "created_at"} == {
        "id": 1,
        "hard_limit": 5,
        "project_id": "id-demo",
        "resource": "Cluster",
        "updated_at": None,
    }
    assert made.json["created_at"].endswith("+00:00")
    assert world.call("GET", MINE, token=READER).json == made.json
    changed = world.call("PATCH", f"{MINE}/", {"hard_limit": 7}, ADMIN)
    assert (changed.status_code, changed.json["hard_limit"]) == (202, 7)
    assert changed.json["updated_at"] is not None
    assert world.call("DELETE", MINE, token=ADMIN).status_code == 204
    assert world.call("GET", MINE, token=READER).json == default
    assert world.call("DELETE", MINE, token=ADMIN).status_code == 404
    assert world.call("PATCH", MINE, {"hard_limit": 7}, ADMIN).status_code == 404


def test_a_limit_is_set_once(world: World) -> None:
    assert set_limit(world, "id-demo", 5).status_code == 201
    again = set_limit(world, "id-demo", 6)
    assert again.status_code == 409
    assert "already exists" in again.json["errors"][0]["title"]


def test_without_a_number_the_limit_is_one_as_upstreams(world: World) -> None:
    assert world.call("POST", QUOTAS, {"project_id": "id-x"}, ADMIN).json["hard_limit"] == 1
    set_limit(world, "id-demo", 5)
    body = {"project_id": "id-x", "resource": "Cluster"}  # what old clients send beside it; the path counts
    changed = world.call("PATCH", MINE, body, ADMIN).json
    assert (changed["project_id"], changed["hard_limit"]) == ("id-demo", 1)


def test_the_limit_holds_and_the_platforms_is_back_when_it_goes(full: World) -> None:
    assert set_limit(full, "id-demo", 2).status_code == 201
    assert ask(full, "two").status_code == 202
    refused = ask(full, "three")
    assert refused.status_code == 403
    assert "maximum clusters per project, 2" in refused.json["errors"][0]["detail"]
    assert full.call("PATCH", MINE, {"hard_limit": 0}, ADMIN).status_code == 202
    assert ask(full, "three").status_code == 403
    assert full.call("DELETE", MINE, token=ADMIN).status_code == 204
    assert ask(full, "three").status_code == 202
    assert full.call("POST", QUOTAS, {"project_id": "id-demo", "hard_limit": 3}, ADMIN).status_code == 201
    assert ask(full, "four").status_code == 403  # the three that there are have not been forgotten


def test_a_limit_of_applications_too(full: World) -> None:
    body = {"project_id": "id-demo", "resource": "Application", "hard_limit": 1}
    assert full.call("POST", QUOTAS, body, ADMIN).status_code == 201
    assert full.call("POST", "/application-deployment/v1/apps", {"name": "second"}).status_code == 403


@pytest.mark.parametrize("token", [MEMBER, READER])
def test_only_admins_set_limits(world: World, token: str) -> None:
    body = {"project_id": "id-demo", "hard_limit": 3}
    for method, path, sent in (
        ("GET", QUOTAS, None),
        ("POST", QUOTAS, body),
        ("PATCH", MINE, body),
        ("DELETE", MINE, None),
    ):
        assert world.call(method, path, sent, token).status_code == 403


def test_the_limit_of_another_project_is_not_shown(world: World) -> None:
    set_limit(world, "id-demo", 5)
    for path in (MINE, f"{QUOTAS}/never-was/Cluster"):
        assert world.call("GET", path, token=OTHER).status_code == 403
    assert world.call("GET", MINE, token=ADMIN).json["hard_limit"] == 5


def test_a_resource_that_there_is_not(world: World) -> None:
    answer = world.call("GET", f"{QUOTAS}/id-demo/cluster")
    assert answer.status_code == 404
    assert "Cluster, Application" in answer.json["errors"][0]["detail"]


def pages(world: World, path: str) -> list[list[str]]:
    found = []
    while path:
        answer = world.call("GET", path, token=ADMIN).json
        found.append([each["project_id"] for each in answer["quotas"]])
        parts = urlsplit(answer.get("next", ""))
        path = f"{parts.path}?{parts.query}" if answer.get("next") else ""
    return found


def test_limits_of_all_projects_page_by_page(world: World) -> None:
    projects = [f"id-{letter}" for letter in "dacb"]
    for number, project in enumerate(projects):
        set_limit(world, project, number)
    world.cluster()  # its project's use is counted, but no limit was set for it
    assert world.call("GET", QUOTAS, token=ADMIN).json == {"quotas": []}
    assert pages(world, f"{QUOTAS}?all_tenants=True") == [projects]
    assert pages(world, f"{QUOTAS}/?all_tenants=1&limit=3") == [projects[:3], projects[3:]]
    assert pages(world, f"{QUOTAS}?all_tenants=true&limit=4&sort_key=project_id") == [sorted(projects), []]
    first = world.call("GET", f"{QUOTAS}?all_tenants=yes&limit=1", token=ADMIN).json
    assert first["next"].endswith("&sort_key=id&sort_dir=asc&limit=1&marker=1")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("marker=99", 404),
        ("marker=x", 400),
        ("marker=" + "9" * 30, 400),
        ("marker=-1", 400),
        ("limit=0", 400),
        ("sort_key=in_use", 400),
        ("sort_dir=up", 400),
        ("all_tenants=maybe", 400),
        ("colour=1", 400),
    ],
)
def test_what_no_page_is(world: World, query: str, status: int) -> None:
    assert world.call("GET", f"{QUOTAS}?{query}", token=ADMIN).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"project_id": ""},
        {"project_id": 5},
        {"project_id": "p" * 65},
        {"project_id": "p", "resource": "Node"},
        {"project_id": "p", "hard_limit": -1},
        {"project_id": "p", "hard_limit": 2**31},
        {"project_id": "p", "hard_limit": "many"},
        {"project_id": "p", "hard_limit": None},
        {"project_id": "p", "hard_limit": True},
        {"project_id": "p", "id": 7},
        {"project_id": "p", "in_use": 0},
        [{"op": "replace", "path": "/hard_limit", "value": 3}],
    ],
)
def test_what_no_quota_is(shared: World, body: Any) -> None:
    assert shared.call("POST", QUOTAS, body, ADMIN).status_code == 400


def test_a_number_may_come_as_text(world: World) -> None:
    body = {"project_id": "p", "hard_limit": "12"}
    assert world.call("POST", QUOTAS, body, ADMIN).json["hard_limit"] == 12
