# SPDX-License-Identifier: Apache-2.0
"""What a client learns before it asks for anything: versions, collections, and paths that it may spell as it likes."""

from __future__ import annotations

import pytest

from tests.api.world import World

BASE = "/container-infra"
COLLECTIONS = [
    "clustertemplates",
    "clusters",
    "quotas",
    "certificates",
    "mservices",
    "stats",
    "federations",
    "nodegroups",
    "credentials",
]


@pytest.mark.parametrize("path", [BASE, f"{BASE}/"])
def test_the_versions_without_a_token(shared: World, path: str) -> None:
    answer = shared.call("GET", path, token="")
    assert answer.status_code == 200
    (version,) = answer.json["versions"]
    links = version.pop("links")
    assert version == {"id": "v1", "status": "CURRENT", "min_version": "1.1", "max_version": "1.14"}
    assert links == [{"rel": "self", "href": f"http://localhost{BASE}/v1/"}]


def test_the_collections_without_a_token(shared: World) -> None:
    answer = shared.call("GET", f"{BASE}/v1/", token="")
    assert [name for name in answer.json if name not in ("id", "media_types", "links")] == COLLECTIONS
    assert answer.json["quotas"] == [
        {"rel": "self", "href": f"http://localhost{BASE}/v1/quotas/"},
        {"rel": "bookmark", "href": f"http://localhost{BASE}/quotas/"},
    ]
    assert answer.json["nodegroups"][0]["href"].endswith("/v1/clusters/{cluster_id}/nodegroups")
    assert answer.headers["Link"].startswith(f"<http://localhost{BASE}/v1/openapi.json>")


@pytest.mark.parametrize(
    "path", ["clusters", "clusters/", "clusters/detail/", "clusters/one", "clusters/one/", "stats/"]
)
def test_paths_without_the_version_and_with_a_slash_at_the_end(shared: World, path: str) -> None:
    wanted = shared.call("GET", f"{BASE}/v1/{path.rstrip('/')}")
    answer = shared.call("GET", f"{BASE}/{path}")
    assert (answer.status_code, answer.json) == (200, wanted.json)
    assert shared.call("GET", f"{BASE}/{path}", token="").status_code == 401


def test_bookmarks_lead_somewhere(shared: World) -> None:
    links = shared.call("GET", f"{BASE}/v1/clusters/one").json["links"]
    for link in links:
        assert shared.call("GET", link["href"].removeprefix("http://localhost")).json["name"] == "one"


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/v2", "/v2/clusters", "/v1/nodegroups", "/v1/bays"])
def test_what_there_is_not(shared: World, path: str) -> None:
    answer = shared.call("GET", BASE + path)
    assert answer.status_code == 404
    assert answer.json["errors"][0]["title"] == ""


def test_a_look_at_the_headers_only(shared: World) -> None:
    answer = shared.client.head(f"{BASE}/v1/clusters", headers={"X-Auth-Token": "ann@demo:reader"})
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["OpenStack-API-Version"]
