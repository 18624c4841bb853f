# SPDX-License-Identifier: Apache-2.0
"""Backups over the API: what may be asked, by whom, in which state, and what is shown."""

from __future__ import annotations

import pytest

from stackyard.model.applications import Mount, Service, Stage
from stackyard.model.backups import BackupObserved, BackupRule
from stackyard.model.groups import Group
from tests.api.world import MEMBER, OTHER, READER, World

SHOP = "/application-deployment/v1/apps/shop"
BACKUPS = f"{SHOP}/backups"
DUMPS = BackupRule(command=("dump",), restore=("load",), check=("check",))
SERVICES = (
    Service("web", image="r/web@sha256:1", port=8000),
    Service("db", image="r/db@sha256:1", mounts=(Mount("data", "/data"),), backup=DUMPS),
    Service("store", image="r/web@sha256:1", mounts=(Mount("files", "/files"),)),
    Service("group", image="r/db@sha256:1", mounts=(Mount("each", "/data"),), group=Group()),
    Service("tidy", image="r/web@sha256:1", stage=Stage.CRON, schedule="* * * * *"),
)
SEEN = BackupObserved(started_at=10, ended_at=12.5, size=1000, stored=300, digest="ab" * 32)


@pytest.fixture
def shop(world: World) -> World:
    world.cluster()
    world.release(world.application(), 1, *SERVICES)
    return world


@pytest.fixture
def made(shop: World) -> str:
    """The id of a backup that has been made."""
    [asked] = shop.call("POST", BACKUPS, {}).json
    shop.reach("backups", asked["uuid"], observed=SEEN)
    return str(asked["uuid"])


def test_one_is_asked_for_and_shown(shop: World) -> None:
    answer = shop.call("POST", BACKUPS, {})
    assert answer.status_code == 202
    [asked] = answer.json
    assert (asked["number"], asked["service"], asked["form"], asked["status"]) == (1, "db", "dump", "CREATING")
    assert (asked["sha256"], asked["cause"], asked["release"]) == (None, "request", 1)
    shop.reach("backups", asked["uuid"], observed=SEEN)
    [listed] = shop.call("GET", BACKUPS, token=READER).json
    assert (listed["status"], listed["size"], listed["stored"], listed["seconds"]) == ("AVAILABLE", 1000, 300, 2.5)
    assert shop.call("GET", f"{BACKUPS}/1").json["sha256"] == "ab" * 32
    assert shop.call("GET", f"{BACKUPS}?environment=staging").json == []


def test_volumes_are_archived_where_nothing_is_said(shop: World) -> None:
    [asked] = shop.call("POST", BACKUPS, {"service": "store"}).json
    assert (asked["service"], asked["form"]) == ("store", "archive")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"service": "web"}, "has no volumes"),
        ({"service": "group"}, "is a group"),
        ({"service": "tidy"}, "there are: web, db, store, group"),
        ({"service": 7}, "service"),
        ({"which": "db"}, "which"),
    ],
)
def test_what_is_refused(shop: World, body: dict[str, object], words: str) -> None:
    answer = shop.call("POST", BACKUPS, body)
    assert answer.status_code == 400
    assert words in answer.json["faultstring"]


def test_where_nothing_says_how(world: World) -> None:
    world.cluster()
    app = world.application()
    assert world.call("POST", BACKUPS, {}).status_code == 409
    world.release(app, 1, SERVICES[0], SERVICES[2])
    answer = world.call("POST", BACKUPS, {})
    assert (answer.status_code, "name one with volumes: store" in answer.json["faultstring"]) == (400, True)


def test_one_at_a_time_of_a_service(shop: World) -> None:
    shop.call("POST", BACKUPS, {})
    answer = shop.call("POST", BACKUPS, {"service": "db"})
    assert (answer.status_code, "backup 1 of db is being worked on" in answer.json["faultstring"]) == (409, True)
    assert shop.call("POST", BACKUPS, {"service": "store"}).status_code == 202


@pytest.mark.parametrize(("action", "status"), [("verify", "VERIFYING"), ("restore", "RESTORING")])
def test_what_is_asked_of_one(shop: World, made: str, action: str, status: str) -> None:
    answer = shop.call("POST", f"{BACKUPS}/1/{action}")
    assert (answer.status_code, answer.json["status"]) == (202, status)
    assert shop.call("POST", f"{BACKUPS}/1/verify").status_code == 409
    assert shop.call("DELETE", f"{BACKUPS}/1").status_code == (202 if action == "verify" else 409)


def test_a_failure_is_told_and_may_be_tried_again(shop: World, made: str) -> None:
    shop.call("POST", f"{BACKUPS}/1/verify")
    seen = BackupObserved(**{**SEEN.__dict__, "flaw": "no such table"})
    shop.fail("backups", made, "verification failed: no such table", observed=seen)
    shown = shop.call("GET", f"{BACKUPS}/{made}").json
    assert (shown["status"], shown["flaw"]) == ("ERROR", "no such table")
    assert shop.call("POST", f"{BACKUPS}/1/verify").status_code == 202


def test_one_that_was_not_made_can_only_go(shop: World) -> None:
    [asked] = shop.call("POST", BACKUPS, {}).json
    shop.fail("backups", asked["uuid"], "the disk is full")
    answer = shop.call("POST", f"{BACKUPS}/1/restore")
    assert (answer.status_code, "the disk is full" in answer.json["faultstring"]) == (409, True)
    assert shop.call("DELETE", f"{BACKUPS}/1").status_code == 202
    assert shop.call("GET", f"{BACKUPS}/1").json["status"] == "DELETING"


def test_a_dump_of_what_can_not_be_restored_any_more(shop: World, made: str) -> None:
    with shop.store.reading() as tx:
        app = tx.applications.find("shop", None)
    shop.release(app, 2, SERVICES[0], SERVICES[2])
    answer = shop.call("POST", f"{BACKUPS}/1/restore")
    assert (answer.status_code, "has no service db" in answer.json["faultstring"]) == (409, True)


def test_only_members_of_the_project(shop: World, made: str) -> None:
    paths = [("GET", ""), ("POST", ""), ("GET", f"/{made}"), ("POST", f"/{made}/verify"), ("POST", f"/{made}/restore")]
    for method, path in [*paths, ("DELETE", f"/{made}")]:
        body = {} if (method, path) == ("POST", "") else None
        assert shop.call(method, f"{BACKUPS}{path}", body, OTHER).status_code == 404
        assert shop.call(method, f"{BACKUPS}{path}", body, READER).status_code == (200 if method == "GET" else 403)
    assert shop.call("GET", f"{BACKUPS}/{made}", token=MEMBER).json["status"] == "AVAILABLE"


def test_another_application_s_backup_is_absent(shop: World, made: str) -> None:
    shop.application("other")
    assert shop.call("POST", f"/application-deployment/v1/apps/other/backups/{made}/restore").status_code == 404
