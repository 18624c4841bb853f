# SPDX-License-Identifier: Apache-2.0
"""Environments over HTTP: which one a request means, what is promoted, and that secrets stay inside."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from stackyard.model.applications import Application, AppSpec, Release, Service
from stackyard.model.builds import BuildObserved
from stackyard.model.logs import LogLine
from stackyard.model.phase import Trigger
from stackyard.worker.logs import BuildLog
from tests.api.world import OTHER, READER, World

APP = "/application-deployment/v1/apps/shop"
IMAGE = "r/web@sha256:" + "1" * 64
SECRET = "open-sesame-77"


@pytest.fixture
def world(world: World) -> World:
    world.cluster()
    world.application()
    assert world.call("POST", f"{APP}/environments", {"name": "staging"}).status_code == 201
    return world


def serve(world: World, environment: str = "production") -> int:
    """Let a release that a push made serve in an environment; return its number."""
    app = find(world)
    with world.store.transaction() as tx:
        deployment = tx.deployments.of(app.id, environment)
        assert deployment
        release = Release(
            project_id=app.project_id,
            app_id=app.id,
            number=tx.releases.next_number(app.id),
            spec=AppSpec((Service("web", image=IMAGE, port=8000),)),
            environment=environment,
            config=deployment.config,
            secret_keys=deployment.secret_keys,
        )
        tx.releases.insert(release)
        tx.deployments.change(deployment, Trigger.CHANGE, "release", release=release.number)
    world.reach("deployments", deployment.id, serving=release.number)
    return release.number


def find(world: World) -> Application:
    with world.store.reading() as tx:
        return tx.applications.list(name="shop")[0]


def get(world: World, path: str = "") -> Any:
    answer = world.call("GET", f"{APP}{path}")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_environments_are_listed_with_what_serves_there(world: World) -> None:
    number = serve(world, "staging")
    staging, production = get(world, "/environments")
    assert (staging["name"], staging["release"], staging["status"]) == ("staging", number, "DEPLOYMENT_COMPLETE")
    assert staging["app_url"] == "http://staging--shop.demo.localhost:8080"
    assert (production["name"], production["release"], production["app_url"]) == ("production", 0, None)
    assert get(world, "/environments/staging") == staging
    assert get(world, "?environment=staging")["release"] == number
    assert get(world)["release"] == 0


@pytest.mark.parametrize("part", ["", "/config", "/processes", "/logs", "/releases", "/events"])
def test_an_unknown_environment_is_told_with_those_that_there_are(world: World, part: str) -> None:
    answer = world.call("GET", f"{APP}{part}?environment=qa")
    assert answer.status_code == 404
    assert "it has: staging, production" in answer.json["faultstring"]


@pytest.mark.parametrize(
    ("method", "part", "body"),
    [
        ("PUT", "/scale?environment=qa", {"web": 1}),
        ("PATCH", "/config?environment=qa", {"A": "1"}),
        ("POST", "/workflows", {"source": {"repository": "https://example.org/a.git"}, "environment": "qa"}),
        ("POST", "/workflows", {"actions": ["deploy"], "from": "qa"}),
        ("POST", "/workflows", {"actions": ["deploy"], "du_id": "1", "environment": "qa"}),
        ("POST", "/workflows", {"actions": ["scale"], "scale_target": 1, "environment": "qa"}),
        ("DELETE", "/environments/qa", None),
    ],
)
def test_nothing_is_done_in_an_unknown_environment(world: World, method: str, part: str, body: Any) -> None:
    answer = world.call(method, f"{APP}{part}", body)
    assert answer.status_code == 404
    assert "it has: staging, production" in answer.json["faultstring"]


def test_environments_of_others_and_for_readers(world: World) -> None:
    for token, status in ((OTHER, 404), (READER, 403)):
        assert world.call("POST", f"{APP}/environments", {"name": "qa"}, token).status_code == status
        assert world.call("DELETE", f"{APP}/environments/staging", token=token).status_code == status
    assert world.call("GET", f"{APP}/environments", token=OTHER).status_code == 404
    assert world.call("GET", f"{APP}/environments", token=READER).status_code == 200


def test_a_promotion_has_the_same_images_and_the_other_ones_config(world: World) -> None:
    world.call("PATCH", f"{APP}/config", {"WHERE": "production"})
    world.call("PATCH", f"{APP}/config?environment=staging", {"WHERE": "staging"})
    refused = world.call("POST", f"{APP}/workflows", {"actions": ["deploy"], "from": ""})
    assert (refused.status_code, "nothing serves in staging" in refused.json["faultstring"]) == (409, True)
    tried = serve(world, "staging")
    made = world.call("POST", f"{APP}/workflows", {"actions": ["deploy"], "from": ""}).json
    assert (made["environment"], made["release"], made["images"]) == ("production", tried + 1, {"web": IMAGE})
    newest, oldest = get(world, "/releases")
    assert (newest["environment"], newest["images"]) == ("production", oldest["images"])
    assert [each["current"] for each in (newest, oldest)] == [False, True]
    assert [each["number"] for each in get(world, "/releases?environment=staging")] == [tried]
    assert get(world, "/config") == {"WHERE": "production"}
    again = world.call("POST", f"{APP}/workflows", {"actions": ["deploy"], "du_id": tried, "from": "staging"})
    assert again.status_code == 400


def test_a_push_says_where_it_goes(world: World) -> None:
    source = {"repository": "https://example.org/a.git"}
    made = world.call("POST", f"{APP}/workflows", {"source": source, "environment": "staging"}).json
    assert made["environment"] == "staging"
    assert get(world, "?environment=staging")["status"] == "QUEUED"
    world.fail("builds", made["uuid"], "no such host", observed=BuildObserved())
    assert get(world, "?environment=staging")["status"] == "ERROR"
    assert get(world)["status"] == "QUEUED"


def test_secrets_are_told_by_no_answer(world: World) -> None:
    serve(world)
    answers = [world.call("PATCH", f"{APP}/config", {"KEY": {"secret": SECRET}, "PLAIN": "seen"})]
    assert get(world, "/config") == {"KEY": None, "PLAIN": "seen", "secrets": ["KEY"]}
    world.engine.lines = [
        LogLine("2026-01-01T00:00:00.000000001Z", "web", "web.1", "stdout", f"url=redis://:{SECRET}@redis")
    ]
    parts = ("", "/config", "/releases", "/events", "/environments", "/workflows", "/processes", "/logs")
    answers += [world.call("GET", f"{APP}{part}") for part in parts]
    assert all(answer.status_code < 300 for answer in answers)
    text = "\n".join(answer.text for answer in answers)
    assert SECRET not in text
    assert "url=redis://:****@redis" in text
    assert "config: set KEY, set PLAIN" in text


def test_a_builds_output_masks_secrets(world: World, tmp_path: pathlib.Path) -> None:
    build = world.call("POST", f"{APP}/workflows", {"source": {"repository": "https://example.org/a.git"}}).json
    with BuildLog(world.store, build["uuid"], [SECRET]) as log:
        log(f"echo {SECRET}\n")
    assert world.call("GET", f"{APP}/workflows/{build['uuid']}/output").text == "echo ****\n"


def test_a_secret_is_moved_to_another_key_and_stays_one(world: World) -> None:
    assert world.call("PATCH", f"{APP}/config", {"KEY": {"secret": SECRET}, "PLAIN": "seen"}).status_code == 202
    body = {"OTHER": {"from": "KEY"}, "KEY": "new"}
    answer = world.call("PATCH", f"{APP}/config", body)
    assert (answer.status_code, SECRET in answer.text) == (202, False)
    assert get(world, "/config") == {"KEY": None, "OTHER": None, "PLAIN": "seen", "secrets": ["KEY", "OTHER"]}
    for wrong, words in (({"A": {"from": "GONE"}}, "config has no GONE"), ({"secrets": {"from": "PLAIN"}}, "secrets")):
        refused = world.call("PATCH", f"{APP}/config", wrong)
        assert (refused.status_code, words in refused.json["faultstring"]) == (400, True)


BOTH = {"secret": "a", "from": "A"}


@pytest.mark.parametrize(
    "value", [{"secret": None}, {"secret": 1}, {}, {"secret": "a", "b": "c"}, 1, ["a"], BOTH, {"from": "no key"}]
)
def test_values_that_are_none(world: World, value: Any) -> None:
    answer = world.call("PATCH", f"{APP}/config", {"KEY": value})
    assert answer.status_code == 400
    assert "KEY" in answer.json["faultstring"]


def test_the_list_of_secrets_takes_no_key_of_config(world: World) -> None:
    answer = world.call("PATCH", f"{APP}/config", {"secrets": "x"})
    assert answer.status_code == 400
    assert "secrets can't be a key" in answer.json["faultstring"]


def test_an_environment_goes_and_production_stays(world: World) -> None:
    answer = world.call("DELETE", f"{APP}/environments/production")
    assert (answer.status_code, "stackyard destroy shop" in json.dumps(answer.json)) == (409, True)
    assert world.call("DELETE", f"{APP}/environments/staging").status_code == 202
    assert get(world, "/environments/staging")["status"] == "DELETING"
    assert get(world)["status"] == "QUEUED"


def test_an_application_that_is_removed_is_there_until_all_of_it_is_gone(world: World) -> None:
    assert world.call("DELETE", APP).status_code == 202
    with world.store.transaction() as tx:
        tx.connection.execute(tx.deployments.table.delete())
    assert get(world)["status"] == "DELETING"
