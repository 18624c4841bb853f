# SPDX-License-Identifier: Apache-2.0
"""Domains and maintenance over the API: who may have which name, what is never told, what a worker finds."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from stackyard.drivers.certificates.x509 import X509
from stackyard.intents import domains as claims
from stackyard.model import domains, errors
from stackyard.model.applications import AppSpec, Maintenance, Release, Service
from stackyard.model.ports import Told
from tests.api.world import OTHER, READER, World

APP = "/application-deployment/v1/apps/shop"
HOST = "www.example.org"
CA = X509().authority("own")
PAIR = X509().server_of(CA, [HOST], [], days=10)


def put(world: World, host: str = HOST, token: str = "", **body: Any) -> Any:
    more = {"token": token} if token else {}
    return world.call("PUT", f"{APP}/domains/{host}", body, **more)


def fault(answer: Any) -> str:
    return str(answer.json["faultstring"])


def generation(world: World) -> int:
    with world.store.reading() as tx:
        deployment = tx.deployments.of(tx.applications.find("shop", None).id)
        assert deployment
        return deployment.generation


def test_a_domain_is_added_changed_listed_and_removed(full: World) -> None:
    before = generation(full)
    added = put(full)
    assert added.status_code == 202
    assert (added.json["host"], added.json["status"], added.json["certificate"]) == (HOST, "pending", "platform")
    assert generation(full) > before
    shown = put(full, https_only=True, service="web").json
    assert (shown["https_only"], shown["http_url"]) == (True, f"http://{HOST}:8080")
    listed = full.call("GET", f"{APP}/domains", token=READER).json
    assert [(each["host"], each["service"], each["https_only"]) for each in listed] == [(HOST, "web", True)]
    assert full.call("DELETE", f"{APP}/domains/{HOST}").status_code == 202
    assert full.call("GET", f"{APP}/domains").json == []
    assert full.call("DELETE", f"{APP}/domains/{HOST}").status_code == 404


def test_its_phase_stays_for_domains_need_no_release(full: World) -> None:
    put(full)
    assert full.call("GET", APP).json["status"] == "DEPLOYMENT_COMPLETE"
    assert len(full.call("GET", f"{APP}/releases").json) == 1


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ("*.example.org", 400, "wildcards"),
        ("localhost", 400, "no host name"),
        ("10.0.0.1", 403, "administrators"),
        ("10.0.0.256", 400, "no host name"),
        ("a_b.example.org", 400, "no host name"),
        ("-a.example.org", 400, "no host name"),
        ("x" * 64 + ".example.org", 400, "no host name"),
        ("shop.demo.localhost", 409, "already"),
        ("cart.demo.localhost", 409, "given by the platform"),
        ("x.cart.other.localhost", 409, "given by the platform"),
        ("staging--shop.demo.localhost", 409, "given by the platform"),
    ],
)
def test_names_that_can_not_be_had(full: World, host: str, status: int, words: str) -> None:
    answer = put(full, host)
    assert answer.status_code == status
    assert words in fault(answer)


def test_administrators_lead_an_address_to_an_application(full: World) -> None:
    admin = "root@demo:admin,member"
    assert put(full, "127.0.0.1", admin).json["host"] == "127.0.0.1"
    assert put(full, "127.0.0.1").status_code == 403
    assert full.call("DELETE", f"{APP}/domains/127.0.0.1", token=admin).status_code == 202


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("WWW.Example.ORG.", "www.example.org"),
        ("bücher.example.org", "xn--bcher-kva.example.org"),
        ("blog.shop.demo.localhost", "blog.shop.demo.localhost"),
        ("www.localhost", "www.localhost"),
    ],
)
def test_names_are_kept_as_dns_has_them(full: World, host: str, kept: str) -> None:
    assert put(full, host).json["host"] == kept


def test_another_projects_name_is_taken_and_nothing_tells_by_whom(full: World) -> None:
    put(full)
    full.cluster("theirs", OTHER)
    full.application("store", OTHER)
    path = f"/application-deployment/v1/apps/store/domains/{HOST}"
    answer = full.call("PUT", path, {}, OTHER)
    assert answer.status_code == 409
    assert "shop" not in fault(answer)
    assert "demo" not in fault(answer)
    assert full.call("DELETE", path, token=OTHER).status_code == 404
    assert full.call("PUT", f"{APP}/domains/a.example.org", {}, OTHER).status_code == 404
    assert put(full, "b.example.org", READER).status_code == 403


def test_a_given_certificate_is_sealed_and_its_key_is_never_told(full: World) -> None:
    answer = put(full, certificate=PAIR.cert, key=PAIR.key)
    assert answer.status_code == 202
    assert answer.json["certificate"] == "own"
    assert answer.json["expires_at"]
    told = answer.text + full.call("GET", f"{APP}/domains").text + full.call("GET", f"{APP}/events").text
    assert "PRIVATE" not in told
    with full.store.reading() as tx:
        domain = tx.domains.at(HOST)
    assert domain
    assert domain.sealed
    assert "PRIVATE" not in domain.sealed
    assert json.loads(full.secrets.open(domain.sealed))["cert"] == PAIR.cert
    assert put(full, own_certificate=False).json["certificate"] == "platform"


@pytest.mark.parametrize(
    "body",
    [{"certificate": PAIR.cert}, {"key": PAIR.key}, {"certificate": PAIR.cert, "key": CA.key}, {"service": "nope"}],
)
def test_what_does_not_fit_is_refused(full: World, body: dict[str, str]) -> None:
    answer = put(full, **body)
    assert answer.status_code == 400
    assert "PRIVATE" not in answer.text
    assert full.call("GET", f"{APP}/domains").json == []


def test_served_is_what_the_router_was_told(full: World) -> None:
    put(full)
    with full.store.reading() as tx:
        deployment = tx.deployments.of(tx.applications.find("shop", None).id)
        domain = tx.domains.at(HOST)
    assert deployment
    told = {HOST: Told(domains.rules(deployment, domain).mark)}
    full.services = dataclasses.replace(full.services, told=lambda host: told.get(host, Told()))
    full.serve()
    assert full.call("GET", f"{APP}/domains").json[0]["status"] == "served"


def test_maintenance_is_kept_over_releases_until_it_is_taken_off(full: World) -> None:
    assert full.call("GET", f"{APP}/maintenance").json["enabled"] is False
    body = {"enabled": True, "text": "Back at 5", "page": "<p>5</p>"}
    assert full.call("PUT", f"{APP}/maintenance", body).status_code == 202
    with full.store.reading() as tx:
        app = tx.applications.find("shop", None)
    deployment = full.release(app, 2)
    assert deployment.maintenance == Maintenance("Back at 5", "<p>5</p>")
    shown = full.call("GET", f"{APP}/maintenance", token=READER).json
    assert (shown["enabled"], shown["text"], shown["page"], shown["status"]) == (True, "Back at 5", True, "pending")
    assert full.call("PUT", f"{APP}/maintenance", {"enabled": False}).status_code == 202
    assert full.call("GET", f"{APP}/maintenance").json["enabled"] is False


@pytest.mark.parametrize("body", [{}, {"enabled": True, "text": "a\nb"}, {"enabled": True, "page": "a" * 24000}])
def test_wrong_maintenance_is_refused(full: World, body: dict[str, Any]) -> None:
    assert full.call("PUT", f"{APP}/maintenance", body).status_code == 400


def release(world: World, *hosts: str) -> Release:
    with world.store.reading() as tx:
        app = tx.applications.find("shop", None)
        number = tx.releases.next_number(app.id)
    spec = AppSpec((Service("web", image="i", port=80, domains=hosts),))
    return Release(project_id=app.project_id, app_id=app.id, number=number, spec=spec)


def claim(world: World, made: Release) -> list[str]:
    with world.store.transaction() as tx:
        app = tx.applications.get(made.app_id)
        for domain in claims.claimed(tx, app, made, "localhost"):
            tx.domains.put(domain)
        claims.let_go(tx, made)
        return [each.host for each in tx.domains.of(app.id)]


def test_a_release_takes_its_names_and_lets_go_of_those_of_older_ones(full: World) -> None:
    put(full, "own.example.org")
    assert claim(full, release(full, "a.example.org")) == ["a.example.org", "own.example.org"]
    refused = full.call("DELETE", f"{APP}/domains/a.example.org")
    assert refused.status_code == 409
    assert "Compose file" in fault(refused)
    assert put(full, "a.example.org", service="web").status_code == 409
    assert put(full, "a.example.org", https_only=True).json["origin"] == "release"
    assert claim(full, release(full, "b.example.org")) == ["b.example.org", "own.example.org"]


def test_a_release_can_not_take_what_others_have(full: World) -> None:
    full.cluster("theirs", OTHER)
    full.application("store", OTHER)
    full.call("PUT", f"/application-deployment/v1/apps/store/domains/{HOST}", {}, OTHER)
    with pytest.raises(errors.Conflict, match=HOST) as caught:
        claim(full, release(full, HOST))
    assert "store" not in str(caught.value)


def test_the_routers_lines_can_be_asked_for_alone(full: World) -> None:
    assert full.call("GET", f"{APP}/logs?service=router").status_code == 200
    assert full.call("GET", f"{APP}/logs?service=nope").status_code == 400
