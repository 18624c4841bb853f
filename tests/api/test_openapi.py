# SPDX-License-Identifier: Apache-2.0
"""The description of the container-infra API for machines: valid, whole, and true."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from stackyard.api.call import Body
from stackyard.api.container_infra import views
from stackyard.api.container_infra.answers import ANSWERS
from stackyard.api.container_infra.routes import FAMILY
from stackyard.model.phase import Phase
from stackyard.worker.heartbeat import Heartbeat
from tests.api.descriptions import described
from tests.api.world import ADMIN, World

BASE = "/container-infra"
DOCUMENT = described()
LATEST = {"OpenStack_API_Version": "container-infra latest"}


def conforms(method: str, path: str, answer: Any) -> None:
    """Fail unless the answer is among those that the description has for the route."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    response = responses[str(answer.status_code)]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    if "content" not in response:
        assert answer.data == b""
        return
    schema = response["content"]["application/json"]["schema"]
    jsonschema.validate(answer.json, {**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize("switches", [(), ("bays",)])
def test_it_is_valid(switches: tuple[str, ...]) -> None:
    document = described(*switches)
    validate(document)
    assert ("/v1/bays" in document["paths"]) is bool(switches)
    assert r"\\Z" not in json.dumps(document)  # Python's own sign for the end


def test_it_is_served_to_everybody(shared: World) -> None:
    answer = shared.call("GET", f"{BASE}/v1/openapi.json", token="")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json == DOCUMENT
    assert answer.json["servers"] == [{"url": f"http://localhost{BASE}"}]


def test_it_has_every_route_and_no_other() -> None:
    served = {(route.method, route.path) for route in FAMILY.routes if route.option is None}
    told = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert {(method, path or "/") for method, path in served} == told
    assert set(ANSWERS) == served


@pytest.mark.parametrize(
    "route", [route for route in FAMILY.routes if route.option is None], ids=lambda route: route.path
)
def test_it_tells_of_each_route_what_the_dispatcher_goes_by(route: Any) -> None:
    operation = DOCUMENT["paths"][route.path or "/"][route.method.lower()]
    queries = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    assert queries == (route.query or set())
    assert ("requestBody" in operation) is (route.body is Body.JSON)
    assert bool(operation["security"]) is (route.rule is not None)
    required = [each["name"] for each in operation["parameters"] if each["in"] == "header" and each["required"]]
    assert bool(required) is (route.since > (1, 1))


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", {}),
        ("/v1", {}),
        ("/v1/clustertemplates", {}),
        ("/v1/clustertemplates/detail", {}),
        ("/v1/clustertemplates/{template}", {"template": "t-one"}),
        ("/v1/clusters", {}),
        ("/v1/clusters/detail", {}),
        ("/v1/clusters/{cluster}", {"cluster": "one"}),
        ("/v1/clusters/{cluster}/nodegroups", {"cluster": "one"}),
        ("/v1/clusters/{cluster}/nodegroups/{nodegroup}", {"cluster": "one", "nodegroup": "default-worker"}),
        ("/v1/certificates/{cluster}", {"cluster": "one"}),
        ("/v1/quotas", {}),
        ("/v1/quotas/{project}/{resource}", {"project": "id-demo", "resource": "Cluster"}),
        ("/v1/mservices", {}),
        ("/v1/federations", {}),
        ("/v1/stats", {}),
        ("/v1/offers", {}),
    ],
)
@pytest.mark.parametrize("version", ["1.12", "latest"])
def test_what_is_shown_is_as_described(full: World, path: str, names: dict[str, str], version: str) -> None:
    Heartbeat(full.store).beat()
    full.call("POST", f"{BASE}/v1/quotas", {"project_id": "id-ops", "hard_limit": 3}, ADMIN)
    wanted = f"container-infra {version}"
    answer = full.call("GET", BASE + path.format(**names), token=ADMIN, OpenStack_API_Version=wanted)
    assert answer.status_code == 200
    conforms("GET", path, answer)


def test_a_cluster_that_failed_is_as_described(full: World) -> None:
    wanted = {"name": "bad", "cluster_template_id": "t-one"}
    uuid = full.call("POST", f"{BASE}/v1/clusters", wanted).json["uuid"]
    full.fail("clusters", uuid, "no room")
    answer = full.call("GET", f"{BASE}/v1/clusters/bad", **LATEST)
    assert answer.json["faults"]
    conforms("GET", "/v1/clusters/{cluster}", answer)


def test_what_is_not_described_is_noticed(full: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "STATUS", {**views.STATUS, Phase.UPDATING: "RUNNING"})
    full.call("POST", f"{BASE}/v1/clusters/one/actions/resize", {"node_count": 2}, **LATEST)
    answer = full.call("GET", f"{BASE}/v1/clusters/one")
    with pytest.raises(jsonschema.ValidationError):
        conforms("GET", "/v1/clusters/{cluster}", answer)
