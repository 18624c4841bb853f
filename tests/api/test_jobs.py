# SPDX-License-Identifier: Apache-2.0
"""Jobs over the API: what may be asked, by whom, and what is shown."""

from __future__ import annotations

import pytest

from stackyard.model.applications import Service, Stage
from stackyard.model.jobs import JobObserved
from tests.api.world import MEMBER, OTHER, READER, World

SHOP = "/application-deployment/v1/apps/shop"
SERVICES = (
    Service("web", image="r/web@sha256:1", port=8000),
    Service("tidy", image="r/web@sha256:1", stage=Stage.CRON, schedule="* * * * *"),
)


@pytest.fixture
def shop(world: World) -> World:
    world.cluster()
    world.release(world.application(), 1, *SERVICES)
    return world


def test_a_command_is_recorded_and_shown(shop: World) -> None:
    made = shop.call("POST", f"{SHOP}/jobs", {"command": ["ls", "-l"], "service": "tidy"})
    assert made.status_code == 202
    assert (made.json["number"], made.json["name"], made.json["kind"]) == (1, "run.1", "run")
    assert (made.json["command"], made.json["service"], made.json["status"]) == (["ls", "-l"], "tidy", "waiting")
    shop.reach("jobs", made.json["uuid"], observed=JobObserved("n", 10.0, 12.5, 0))
    [listed] = shop.call("GET", f"{SHOP}/jobs", token=READER).json
    assert (listed["status"], listed["exit_code"], listed["seconds"]) == ("done", 0, 2.5)
    assert shop.call("GET", f"{SHOP}/jobs/1").json["uuid"] == made.json["uuid"]
    assert shop.call("GET", f"{SHOP}/jobs?environment=staging").json == []


def test_a_job_is_stopped(shop: World) -> None:
    uuid = shop.call("POST", f"{SHOP}/jobs", {"command": ["sleep", "9"]}).json["uuid"]
    assert shop.call("DELETE", f"{SHOP}/jobs/{uuid}").status_code == 202
    with shop.store.reading() as tx:
        assert tx.jobs.get(uuid).stop == "stopped by request"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "command"),
        ({"command": []}, "command"),
        ({"command": "ls"}, "command"),
        ({"command": ["ls"], "service": "api"}, "there are: web, tidy"),
        ({"command": ["ls"], "shell": True}, "shell"),
    ],
)
def test_what_is_refused(shop: World, body: dict[str, object], words: str) -> None:
    answer = shop.call("POST", f"{SHOP}/jobs", body)
    assert answer.status_code == 400
    assert words in answer.json["faultstring"]


def test_before_the_first_release(world: World) -> None:
    world.cluster()
    world.application()
    answer = world.call("POST", f"{SHOP}/jobs", {"command": ["ls"]})
    assert (answer.status_code, "push it first" in answer.json["faultstring"]) == (409, True)


def test_only_members_of_the_project(shop: World) -> None:
    job = shop.call("POST", f"{SHOP}/jobs", {"command": ["ls"], "attached": True}).json["uuid"]
    paths = [("POST", "jobs"), ("GET", "jobs"), ("GET", f"jobs/{job}"), ("GET", f"jobs/{job}/attach"), ("GET", "exec")]
    for method, path in paths:
        body = {"command": ["ls"]} if method == "POST" else None
        assert shop.call(method, f"{SHOP}/{path}", body, OTHER).status_code == 404
    for method, path in (paths[0], paths[3], paths[4]):
        body = {"command": ["ls"]} if method == "POST" else None
        assert shop.call(method, f"{SHOP}/{path}", body, READER).status_code == 403
    with shop.store.reading() as tx:
        assert len(tx.jobs.list()) == 1


def test_what_speaks_websocket_says_so(shop: World) -> None:
    job = shop.call("POST", f"{SHOP}/jobs", {"command": ["ls"], "attached": True}).json["uuid"]
    for path in (f"jobs/{job}/attach", "exec"):
        answer = shop.call("GET", f"{SHOP}/{path}")
        assert answer.status_code == 400
        assert "WebSocket" in answer.json["faultstring"]
    detached = shop.call("POST", f"{SHOP}/jobs", {"command": ["ls"]}).json["uuid"]
    assert shop.call("GET", f"{SHOP}/jobs/{detached}/attach").status_code == 409
    answer = shop.call("GET", f"{SHOP}/exec?replica=web.7")
    assert (answer.status_code, "there are: web.1" in answer.json["faultstring"]) == (404, True)


def test_another_application_s_job_is_absent(shop: World) -> None:
    job = shop.call("POST", f"{SHOP}/jobs", {"command": ["ls"]}, MEMBER).json["uuid"]
    shop.application("other")
    assert shop.call("GET", f"/application-deployment/v1/apps/other/jobs/{job}").status_code == 404
