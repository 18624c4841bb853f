# SPDX-License-Identifier: Apache-2.0
"""Users of a Keystone that runs as an application are served, once the operator says so; nobody else's are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client

from stackyard.api import http, trusted
from stackyard.model.applications import project_label
from stackyard.model.records import Caller
from tests.api.keystone import Keystone, serving
from tests.api.world import ADMIN, MEMBER, OTHER, World

APPS = "/application-deployment/v1/apps"
TRUST = f"{APPS}/shop/trust"
CONFIG = f"{APPS}/shop/config"


@pytest.fixture
def theirs() -> Iterator[tuple[Keystone, int]]:
    with serving(Keystone("theirs", "their-project", "admin,member,reader", reached="public")) as found:
        yield found


@pytest.fixture
def client(full: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The API with the real keystonemiddleware, for which the platform's own Keystone knows `good`."""
    monkeypatch.setattr(trusted, "FRESH_SECONDS", 0.0)
    with serving(Keystone()) as (_, port):
        full.conf.set_override("auth_url", f"http://127.0.0.1:{port}/v3", "identity")
        full.conf.set_override("password", "secret", "identity")
        yield Client(http.create_app(full.services))


def wanted(port: int, **other: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/v3"
    return {"auth_url": url, "username": "magnum", "password_key": "STACKYARD_PASSWORD", **other}


def trust(world: World, port: int) -> None:
    assert world.call("PATCH", CONFIG, {"STACKYARD_PASSWORD": {"secret": "s3cret"}}).status_code < 300
    answer = world.call("PUT", TRUST, wanted(port), ADMIN)
    assert answer.status_code == 200, answer.text
    assert "s3cret" not in answer.text


def status(client: Client, token: str, path: str = APPS) -> int:
    return client.get(path, headers={"X-Auth-Token": token}).status_code


def test_their_users_are_served_as_long_as_they_are_trusted(
    full: World, client: Client, theirs: tuple[Keystone, int]
) -> None:
    assert [status(client, token) for token in ("good", "theirs", "nobody")] == [200, 401, 401]
    trust(full, theirs[1])
    assert [status(client, token) for token in ("good", "theirs", "nobody")] == [200, 200, 401]
    asked = theirs[0].validated
    assert status(client, "theirs") == 200
    assert theirs[0].validated == asked, "what is known of a token is kept"
    assert full.call("DELETE", TRUST, token=ADMIN).status_code == 204
    assert [status(client, token) for token in ("good", "theirs")] == [200, 401]
    assert full.call("GET", TRUST, token=ADMIN).status_code == 404


def test_their_administrator_is_none_here(full: World, client: Client, theirs: tuple[Keystone, int]) -> None:
    trust(full, theirs[1])
    headers = {"X-Auth-Token": "theirs"}
    assert client.get(f"{APPS}?all_projects=1", headers=headers).json == []
    assert client.get(f"{APPS}/shop", headers=headers).status_code == 404
    assert client.put(TRUST, headers=headers, json=wanted(1)).status_code in (403, 404)


def test_one_that_does_not_answer_harms_nobody_else(full: World, client: Client) -> None:
    trust(full, 9)
    assert [status(client, token) for token in ("good", "theirs")] == [200, 401]


def test_only_the_operator_says_whom_to_trust(full: World) -> None:
    for token, expected in ((MEMBER, 403), (OTHER, 404)):
        assert full.call("PUT", TRUST, wanted(1), token).status_code == expected
        assert full.call("GET", TRUST, token=token).status_code == expected


def test_what_can_not_be_trusted_is_refused_by_name(full: World) -> None:
    answer = full.call("PUT", TRUST, wanted(1), ADMIN)
    assert (answer.status_code, "has no key STACKYARD_PASSWORD" in answer.text) == (400, True)
    answer = full.call("PUT", TRUST, wanted(1, auth_url="file:///etc/passwd"), ADMIN)
    assert (answer.status_code, "must be the URL of a Keystone" in answer.text) == (400, True)


def test_projects_of_one_name_have_hosts_of_their_own(full: World) -> None:
    """A domain of Keystone, or another Keystone, may have a project of the same name."""
    full.cluster("theirs", "eve@other:member,reader")
    namesake = Caller("eve", "id-other", frozenset({"member"}), project_name="Demo")
    made = full.services.intents.applications.create(namesake, {"name": "shop"})
    own = full.services.intents.applications.find(Caller("ann", "id-demo"), "shop")
    assert (own.project_name, made.project_name) == ("demo", "demo-id-other")


@pytest.mark.parametrize(
    ("name", "label"), [("demo", "demo"), ("My Café & Co.", "my-cafe-co"), ("...", ""), ("a" * 70, "a" * 54)]
)
def test_a_projects_name_becomes_a_label(name: str, label: str) -> None:
    assert project_label(name) == label
