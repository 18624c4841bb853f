# SPDX-License-Identifier: Apache-2.0
"""The real keystonemiddleware as `create_app` sets it up, against a Keystone of four answers on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from werkzeug.test import Client

from stackyard.api import cache, http
from tests.api.keystone import Keystone, serving
from tests.api.world import World

CLUSTERS, APPS = "/container-infra/v1/clusters", "/application-deployment/v1/apps"


@pytest.fixture
def keystone() -> Iterator[tuple[Keystone, int]]:
    with serving(Keystone()) as found:
        yield found


def client_of(world: World, port: int) -> Client:
    world.conf.set_override("auth_url", f"http://127.0.0.1:{port}/v3", "identity")
    world.conf.set_override("password", "secret", "identity")
    return Client(http.create_app(world.services))


def test_a_good_token_passes_and_is_kept_for_a_while(world: World, keystone: tuple[Keystone, int]) -> None:
    client = client_of(world, keystone[1])
    for _ in range(5):
        assert client.get(CLUSTERS, headers={"X-Auth-Token": "good"}).status_code == 200
    assert keystone[0].validated == 1


def test_the_caller_is_who_keystone_says_whatever_the_request_says(
    world: World, keystone: tuple[Keystone, int]
) -> None:
    client = client_of(world, keystone[1])
    claimed = {"X-Project-Id": "id-other", "X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-User-Id": "root"}
    made = client.post(
        "/container-infra/v1/clustertemplates",
        json={"name": "t", "coe": "swarm-mode", "image_id": "node"},
        headers={"X-Auth-Token": "good", **claimed},
    )
    assert (made.json or {})["project_id"] == "id-démo"
    assert (made.json or {})["user_id"] == "u-1"
    assert client.get(CLUSTERS, headers=claimed).status_code == 401
    assert client.post("/container-infra/v1/", json={}, headers=claimed).status_code == 405


@pytest.mark.parametrize(("path", "word"), [(CLUSTERS, "errors"), (APPS, "faultstring")])
def test_a_bad_token_is_401_in_the_familys_words(
    world: World, keystone: tuple[Keystone, int], path: str, word: str
) -> None:
    client = client_of(world, keystone[1])
    for headers in ({}, {"X-Auth-Token": "bad"}):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert word in (answer.json or {})
        assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


@pytest.mark.parametrize(("path", "word"), [(CLUSTERS, "errors"), (APPS, "faultstring")])
def test_no_keystone_is_503_not_401(world: World, path: str, word: str) -> None:
    answer = client_of(world, 9).get(path, headers={"X-Auth-Token": "good"})
    assert answer.status_code == 503
    assert word in (answer.json or {})


def test_what_breaks_in_the_middleware_is_told_in_the_familys_words(world: World) -> None:
    world.conf.set_override("auth_url", "http://127.0.0.1:9/v3", "identity")  # and no password to ask with
    answer = Client(http.create_app(world.services)).get(APPS, headers={"X-Auth-Token": "good"})
    assert answer.status_code == 500
    assert answer.headers["X-OpenStack-Request-Id"] in (answer.json or {})["faultstring"]


def test_what_is_public_needs_no_keystone(world: World) -> None:
    world.conf.set_override("auth_url", "http://127.0.0.1:9/v3", "identity")
    client = Client(http.create_app(world.services))
    for path in ("/", "/healthcheck", "/container-infra", "/container-infra/v1/", "/application-deployment/v1"):
        assert client.get(path).status_code == 200


def test_the_cache_forgets_the_oldest_and_the_outdated() -> None:
    kept = cache.TokenCache(entries=2)
    for key in ("a", "b", "c"):
        kept.set(key, key.upper())
    kept.set("old", "OLD", time=-1)
    assert [kept.get(key) for key in ("a", "b", "c", "old")] == [None, None, "C", None]
