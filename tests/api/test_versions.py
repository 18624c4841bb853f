# SPDX-License-Identifier: Apache-2.0
"""Microversions as Magnum's clients ask for them."""

from __future__ import annotations

import pytest

from tests.api.world import World

CLUSTERS = "/container-infra/v1/clusters"
SERVICE = "container-infrastructure-management"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "1.1"),
        ("container-infra 1.1", "1.1"),
        ("container-infra 1.9", "1.9"),
        ("container-infrastructure 1.10", "1.10"),
        ("container-infrastructure-management 1.14", "1.14"),
        ("container-infra latest", "1.14"),
        ("Container-Infra LATEST", "1.14"),
    ],
)
def test_a_version_that_there_is(shared: World, asked: str | None, given: str) -> None:
    answer = shared.call("GET", CLUSTERS, **({"OpenStack_API_Version": asked} if asked else {}))
    assert answer.status_code == 200
    assert answer.headers["OpenStack-API-Version"] == f"{SERVICE} {given}"
    assert answer.headers["OpenStack-API-Minimum-Version"] == f"{SERVICE} 1.1"
    assert answer.headers["OpenStack-API-Maximum-Version"] == f"{SERVICE} 1.14"
    assert answer.headers["Vary"] == "OpenStack-API-Version"


@pytest.mark.parametrize(
    "asked",
    ["1.9", "compute 1.9", "container-infra", "container-infra 1", "container-infra 1.1.1", "container-infra x"],
)
def test_a_header_that_is_none(shared: World, asked: str) -> None:
    answer = shared.call("GET", CLUSTERS, OpenStack_API_Version=asked)
    assert answer.status_code == 406
    assert answer.json["errors"][0]["title"]


@pytest.mark.parametrize("asked", ["1.0", "1.15", "2.1", "0.9"])
def test_a_version_out_of_range_tells_the_range(shared: World, asked: str) -> None:
    answer = shared.call("GET", CLUSTERS, OpenStack_API_Version=f"container-infra {asked}")
    assert answer.status_code == 406
    (error,) = answer.json["errors"]
    if asked != "0.9":  # no version begins with 0
        assert (error["min_version"], error["max_version"]) == ("1.1", "1.14")
        assert error["code"] == "magnum.microversion-unsupported"


@pytest.mark.parametrize(
    ("method", "path", "before", "since"),
    [
        ("GET", f"{CLUSTERS}/one/nodegroups", "1.8", "1.9"),
        ("POST", f"{CLUSTERS}/one/actions/resize", "1.6", "1.7"),
    ],
)
def test_a_method_of_a_later_version_is_406_with_an_empty_error(
    full: World, method: str, path: str, before: str, since: str
) -> None:
    body = {"node_count": 2} if method == "POST" else None
    early = full.call(method, path, body, OpenStack_API_Version=f"container-infra {before}")
    assert early.status_code == 406
    assert (early.json["errors"][0]["title"], early.json["errors"][0]["detail"]) == ("", "")
    assert full.call(method, path, body, OpenStack_API_Version=f"container-infra {since}").status_code in (200, 202)


def test_the_stacks_id_has_another_name_from_1_13_on(full: World) -> None:
    old = full.call("GET", f"{CLUSTERS}/one", OpenStack_API_Version="container-infra 1.12").json
    new = full.call("GET", f"{CLUSTERS}/one", OpenStack_API_Version="container-infra 1.13").json
    assert old["stack_id"] == new["cluster_id"]
    assert "cluster_id" not in old
    assert "stack_id" not in new


def test_an_unknown_template_is_400_at_first_and_404_later(shared: World) -> None:
    body = {"name": "x", "cluster_template_id": "none"}
    assert shared.call("POST", CLUSTERS, body, OpenStack_API_Version="container-infra 1.9").status_code == 400
    assert shared.call("POST", CLUSTERS, body, OpenStack_API_Version="container-infra 1.10").status_code == 404
