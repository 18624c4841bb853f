# SPDX-License-Identifier: Apache-2.0
"""What holds for every route of every family: the tables themselves are walked, so that a new route is tested too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackyard.api import application_deployment, container_infra
from stackyard.api.call import Body, Family, Route
from tests.api.world import ADMIN, MEMBER, OTHER, READER, World

FAMILIES: tuple[Family, ...] = (container_infra.routes.FAMILY, application_deployment.routes.FAMILY)
ALL = [(family, route) for family in FAMILIES for route in family.routes if route.option is None]
PRIVATE = [(family, route) for family, route in ALL if route.rule]
# Everybody's language packs; projects, which are Keystone's; archives, which are known by their content alone.
NO_OBJECTS = ("{pack}", "{project}", "{digest}")
WITH_OBJECT = [
    (family, route)
    for family, route in PRIVATE
    if "{" in route.path and not any(word in route.path for word in NO_OBJECTS)
]
CHANGING = [case for case in WITH_OBJECT if case[1].method != "GET" and case[1].rule != "show_app"]  # git asks by POST
WITH_BODY = [(family, route) for family, route in PRIVATE if route.body is Body.JSON]
# Named by hand: gabbi's plugin takes every test with a colon in its id for one of its own.
WRONG = {
    "half": b"{",
    "no-json": b"nonsense",
    "no-utf8": b"\xff\xfe",
    "text": b'"text"',
    "number": b"17",
    "null": b"null",
    "list": b"[1]",
    "unknown-field": b'{"no_such_field": 1}',
    "deep": b"[" * 5000,
}
LATEST = {"OpenStack_API_Version": "container-infra latest"}


def name(case: tuple[Family, Route]) -> str:
    return f"{case[1].method} {case[0].name}{case[1].path}"


def path(family: Family, route: Route, **names: str) -> str:
    filled = {"template": "t-one", "cluster": "one", "nodegroup": "default-worker", "app": "shop", "workflow": "1"}
    more = {"pack": "python", "project": "id-demo", "resource": "Cluster", "federation": "none", "digest": "0" * 64}
    others = {"environment": "production", "host": "www.example.org", "job": "1", "branch": "main", "group": "db"}
    others |= {"config": "app.conf", "backup": "1"}
    return family.prefix + route.path.format(**{**filled, **more, **others, **names})


def asker(route: Route) -> str:
    """Return the token of one who may."""
    return ADMIN if (route.rule or "").startswith(("quota:", "trust_")) else MEMBER


def well_formed(family: Family, answer: Any, route: Route | None = None) -> bool:
    """Tell whether an error is told in the family's own words; in plain ones to git, which shows them."""
    if route and route.fault:
        return answer.mimetype == "text/plain" and answer.text.endswith("\n")
    if family.name == "container-infra":
        return set(answer.json["errors"][0]) >= {"title", "links", "code"}
    return set(answer.json) == {"faultcode", "faultstring", "debuginfo"}


def body_of(route: Route) -> Any:
    """Return a body that the route's schema takes, so that only the object is in question."""
    samples: dict[str, Any] = {
        "/v1/clusters/{cluster}/actions/resize": {"node_count": 1},
        "/v1/clusters/{cluster}/actions/upgrade": {"cluster_template": "t-one"},
        "/v1/clusters/{cluster}/nodegroups": {"name": "more"},
        "/v1/apps/{app}/workflows": {"source": {"repository": "https://example.org/a.git"}},
        "/v1/apps/{app}/scale": {"web": 1},
        "/v1/apps/{app}/config": {"A": "b"},
        "/v1/apps/{app}": {"description": "x"},
        "/v1/apps/{app}/jobs": {"command": ["true"]},
        "/v1/apps/{app}/backups": {"service": "web"},
        "/v1/apps/{app}/environments": {"name": "staging"},
        "/v1/apps/{app}/files/{config}": {"content": "x"},
        "/v1/apps/{app}/files/{config}/diff": {"content": "x"},
        "/v1/apps/{app}/domains/{host}": {"service": "web"},
        "/v1/apps/{app}/maintenance": {"enabled": True},
        "/v1/apps/{app}/groups/{group}/recovery": {"member": "db-1"},
        "/v1/apps/{app}/preview": {"digest": "0" * 64},
        "/v1/apps/{app}/trust": {"auth_url": "http://localhost/v3", "username": "magnum", "password_key": "A"},
    }
    patch = [{"op": "replace", "path": "/node_count", "value": 2}]
    return samples.get(route.path, patch) if route.body is Body.JSON else None


@pytest.mark.parametrize("case", PRIVATE, ids=name)
@pytest.mark.parametrize("token", ["", "nonsense"])
def test_no_token_or_a_bad_one_is_401_in_the_familys_own_words(
    shared: World, case: tuple[Family, Route], token: str
) -> None:
    family, route = case
    answer = shared.call(route.method, path(family, route), body_of(route), token, **LATEST)
    assert answer.status_code == 401
    assert well_formed(family, answer, route)
    assert answer.headers["X-OpenStack-Request-Id"].startswith("req-")


@pytest.mark.parametrize("case", WITH_OBJECT, ids=name)
def test_another_projects_things_do_not_exist(shared: World, case: tuple[Family, Route]) -> None:
    family, route = case
    theirs = shared.call(route.method, path(family, route), body_of(route), OTHER, **LATEST)
    absent = shared.call(
        route.method, path(family, route, app="none", cluster="none", template="none"), body_of(route), OTHER, **LATEST
    )
    assert theirs.status_code == absent.status_code == 404
    assert well_formed(family, theirs, route)
    # By its id, too, and with nothing that tells it from what never was.
    assert {key for key, _ in theirs.headers} == {key for key, _ in absent.headers}


def test_lists_of_another_project_are_empty(shared: World) -> None:
    for where, key in (("clusters", "clusters"), ("clustertemplates", "clustertemplates")):
        assert shared.call("GET", f"/container-infra/v1/{where}", token=OTHER).json[key] == []
    assert shared.call("GET", "/application-deployment/v1/apps", token=OTHER).json == []


@pytest.mark.parametrize("case", WITH_BODY, ids=name)
@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_body_that_is_not_what_it_should_be_is_400(shared: World, case: tuple[Family, Route], body: bytes) -> None:
    family, route = case
    answer = shared.call(route.method, path(family, route), body, asker(route), **LATEST)
    assert answer.status_code == 400, answer.text
    assert well_formed(family, answer)


@pytest.mark.parametrize("case", CHANGING, ids=name)
def test_readers_change_nothing(shared: World, case: tuple[Family, Route]) -> None:
    family, route = case
    assert shared.call(route.method, path(family, route), body_of(route), READER, **LATEST).status_code == 403


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_unknown_routes_and_methods_are_told_in_the_familys_own_words(shared: World, family: Family) -> None:
    for method, where, status in (("GET", "/v1/nothing", 404), ("DELETE", "/v1", 405)):
        answer = shared.call(method, family.prefix + where)
        assert answer.status_code == status
        assert well_formed(family, answer)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({field for _, route in WITH_BODY for field in (route.schema or {}).get("properties", {})})


@pytest.mark.parametrize("case", WITH_BODY, ids=name)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_a_server_error(full: World, case: tuple[Family, Route], data: st.DataObject) -> None:
    family, route = case
    own = sorted((route.schema or {}).get("properties", {})) or FIELDS
    body = data.draw(st.dictionaries(st.sampled_from(own), values, max_size=4) | values)
    answer = full.call(route.method, path(family, route), json.dumps(body).encode(), asker(route), **LATEST)
    assert answer.status_code < 500, (body, answer.text)


@pytest.mark.parametrize("case", WITH_OBJECT, ids=name)
@pytest.mark.parametrize("ident", ["a" * 300, "%00", "%F0%9F%92%A9", "..", "-1", "1" * 40, "%27%20OR%201=1"])
def test_no_name_makes_a_server_error(shared: World, case: tuple[Family, Route], ident: str) -> None:
    family, route = case
    parts = (
        "template",
        "cluster",
        "nodegroup",
        "app",
        "workflow",
        "federation",
        "environment",
        "job",
        "config",
        "backup",
    )
    names = dict.fromkeys(parts, ident)
    answer = shared.call(route.method, path(family, route, **names), body_of(route), **LATEST)
    assert answer.status_code in (400, 404, 405)
