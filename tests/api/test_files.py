# SPDX-License-Identifier: Apache-2.0
"""Files over the API: what is listed and shown, what is refused before anything is touched, what a rollback brings."""

from __future__ import annotations

from typing import Any

import pytest

from stackyard.model.applications import AppSpec, Release, Service, Stage
from stackyard.model.files import File, FileMount
from stackyard.model.phase import Trigger
from tests.api.world import MEMBER, OTHER, READER, World

SHOP = "/application-deployment/v1/apps/shop"
KNOWN = '{"options": {"a": {"opts": [{"name": "b"}, {"name": "p"}]}}, "deprecated_options": {}}'
FILES = (
    File("conf", "[a]\nb = 1\np = ${PASSWORD}\n", ini=True, options=KNOWN),
    File("motd", "hello"),
    File("key", "sealed", secret=True, sealed=True),
)
SERVICES = (
    Service(
        "web", image="i", files=(FileMount("conf", "/etc/c"), FileMount("motd", "/m"), FileMount("key", "/k", True))
    ),
    Service("worker", image="i", files=(FileMount("conf", "/etc/c"),)),
    Service("probe", image="i", stage=Stage.CHECK),
)


@pytest.fixture
def world(world: World) -> World:
    world.cluster()
    app = world.application()
    assert world.call("PATCH", f"{SHOP}/config", {"PASSWORD": {"secret": "open-sesame-7"}}).status_code == 202
    with world.store.transaction() as tx:
        of = tx.deployments.of(app.id)
        assert of
        spec = AppSpec(SERVICES, files=FILES)
        keys = {"config": of.config, "secret_keys": of.secret_keys}
        tx.releases.insert(Release(project_id=app.project_id, app_id=app.id, number=1, spec=spec, **keys))  # type: ignore[arg-type]
        tx.deployments.change(of, Trigger.CHANGE, "release", release=1)
    world.reach("deployments", of.id, serving=1)
    return world


def get(world: World, path: str) -> Any:
    answer = world.call("GET", f"{SHOP}{path}")
    assert answer.status_code == 200, answer.text
    return answer.json


def put(world: World, path: str, content: str) -> Any:
    answer = world.call("PUT", f"{SHOP}/files/{path}", {"content": content})
    assert answer.status_code == 202, answer.text
    return answer.json


def test_configs_are_listed_with_what_lies_over_them(world: World) -> None:
    assert put(world, "conf?service=web&node=n1", "[a]\nb = 2\n") == {"release": 2, "environment": "production"}
    conf, motd = get(world, "/files")
    assert (conf["name"], conf["ini"], conf["checked"]) == ("conf", True, True)
    assert conf["services"] == {"web": ["/etc/c"], "worker": ["/etc/c"]}
    assert conf["overlays"] == [{"service": "web", "node": "n1", "bytes": 10}]
    assert (motd["services"], motd["overlays"]) == ({"web": ["/m"]}, [])


def test_secrets_are_shown_by_reference(world: World) -> None:
    put(world, "conf", "[a]\nb = 3\n")
    shown = world.call("GET", f"{SHOP}/files/conf?service=web")
    assert "open-sesame" not in shown.text
    assert shown.json["content"] == "[a]\nb = 3\np = ${PASSWORD}\n"
    assert shown.json["own"] is None
    assert get(world, "/files/conf")["own"] == "[a]\nb = 3\n"
    with world.store.reading() as tx:
        assert "b = 3" not in str(tx.releases.list())


def test_a_diff_tells_each_service_and_changes_nothing(world: World) -> None:
    put(world, "conf?service=worker", "[a]\nb = 5\n")
    found = world.call("POST", f"{SHOP}/files/conf/diff", {"content": "[a]\nb = 4\n"}).json
    assert [(each["service"], each["node"]) for each in found] == [("web", None)]
    assert found[0]["changes"] == [{"section": "a", "option": "b", "before": ["1"], "after": ["4"]}]
    assert "-b = 1\n+b = 4" in found[0]["diff"]
    gone = world.call("POST", f"{SHOP}/files/conf/diff?service=worker", {"content": None}).json
    assert [(each["service"], each["changes"][0]["after"]) for each in gone] == [("worker", ["1"])]
    assert get(world, "/files/conf?service=web")["content"].startswith("[a]\nb = 1")
    assert len(world.call("GET", f"{SHOP}/releases").json) == 2


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("PUT", "conf", "[a]\nc = 1\n", 400, "[a] c is not known"),
        ("PUT", "conf", "no ini", 400, "line 1"),
        ("PUT", "motd", "${", 400, "begins a variable"),
        ("PUT", "motd", "", 400, "content"),
        ("PUT", "key", "x", 404, "it has: conf, motd"),
        ("PUT", "nothing", "x", 404, "it has: conf, motd"),
        ("PUT", "motd?service=worker", "x", 404, "these do: web"),
        ("PUT", "motd?environment=qa", "x", 404, "no environment 'qa'"),
        ("POST", "conf/diff", "[a]\nc = 1\n", 400, "[a] c is not known"),
        ("DELETE", "motd", None, 404, "nothing is set for motd"),
    ],
)
def test_what_is_refused(world: World, method: str, path: str, content: str | None, status: int, words: str) -> None:
    body = None if content is None else {"content": content}
    answer = world.call(method, f"{SHOP}/files/{path}", body)
    assert (answer.status_code, words in answer.json["faultstring"]) == (status, True), answer.text
    assert len(world.call("GET", f"{SHOP}/releases").json) == 1


def test_a_rollback_brings_the_files_back(world: World) -> None:
    put(world, "motd", "first")
    put(world, "motd", "second")
    assert world.call("DELETE", f"{SHOP}/files/motd").json["release"] == 4
    assert get(world, "/files/motd")["content"] == "hello"
    assert world.call("POST", f"{SHOP}/workflows", {"actions": ["deploy"], "du_id": "2"}).status_code < 300
    assert get(world, "/files/motd") == {"name": "motd", "ini": False, "content": "first", "own": "first"}


def test_another_environment_has_its_own(world: World) -> None:
    assert world.call("POST", f"{SHOP}/environments", {"name": "staging"}).status_code == 201
    assert put(world, "any?environment=staging", "x") == {"release": None, "environment": "staging"}
    [kept] = get(world, "/files?environment=staging")
    assert (kept["name"], kept["ini"], len(kept["overlays"])) == ("any", None, 1)
    assert get(world, "/files/motd")["own"] is None


def test_who_may(world: World) -> None:
    for method, path, body in (
        ("GET", "/files", None),
        ("GET", "/files/conf", None),
        ("PUT", "/files/motd", {"content": "x"}),
        ("POST", "/files/motd/diff", {"content": "x"}),
        ("POST", "/checks", None),
    ):
        assert world.call(method, f"{SHOP}{path}", body, READER).status_code == 403
        assert world.call(method, f"{SHOP}{path}", body, OTHER).status_code == 404


def test_checks_are_jobs(world: World) -> None:
    made = world.call("POST", f"{SHOP}/checks", token=MEMBER)
    assert made.status_code == 202
    assert [(job["kind"], job["service"], job["release"]) for job in made.json] == [("check", "probe", 1)]
