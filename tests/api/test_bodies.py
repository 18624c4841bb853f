# SPDX-License-Identifier: Apache-2.0
"""What may be sent: types, sizes and names, and how a refusal names what is wrong."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from stackyard.api import http, validation
from stackyard.model import errors
from tests.api.world import World, archive

APPS = "/application-deployment/v1/apps"
SOURCES = "/application-deployment/v1/sources"
CLUSTERS = "/container-infra/v1/clusters"
TEMPLATES = "/container-infra/v1/clustertemplates"
GZIP = {"Content_Type": "application/gzip"}


def said(answer: Any) -> str:
    body = answer.json
    return str(body["errors"][0]["detail"] if "errors" in body else body["faultstring"])


def test_a_source_archive_is_kept_under_its_digest(shared: World) -> None:
    data = archive(Procfile="web: python app.py", app__py="print('hi')")
    answer = shared.call("POST", SOURCES, data, **GZIP)
    assert answer.status_code == 201
    assert answer.json == {"digest": hashlib.sha256(data).hexdigest(), "size": len(data)}


NO_ARCHIVES = {"empty": b"", "text": b"no archive", "json": b'{"digest": "x"}', "cut": archive(a="b")[:-20]}


@pytest.mark.parametrize("data", NO_ARCHIVES.values(), ids=NO_ARCHIVES)
def test_what_no_source_archive_is(shared: World, data: bytes) -> None:
    answer = shared.call("POST", SOURCES, data, **GZIP)
    assert answer.status_code == 400
    assert "archive" in said(answer)


def test_a_source_archive_beyond_the_limit_is_413(shared: World) -> None:
    data = archive(noise=random.Random(1).randbytes(1024 * 1024).hex())
    assert len(data) > 1024 * 1024
    answer = shared.call("POST", SOURCES, data, **GZIP)
    assert answer.status_code == 413
    assert "1048576 bytes" in said(answer)


def test_a_push_of_an_archive_that_is_not_here_is_400_with_the_cure(full: World) -> None:
    answer = full.call("POST", f"{APPS}/shop/workflows", {"source": {"digest": "0" * 64}})
    assert answer.status_code == 400
    assert "POST /v1/sources" in said(answer)


@pytest.mark.parametrize("path", [APPS, CLUSTERS])
def test_json_beyond_the_limit_is_413(shared: World, path: str) -> None:
    assert shared.call("POST", path, b'{"name": "' + b"a" * http.MAX_JSON + b'"}').status_code == 413


@pytest.mark.parametrize("path", [APPS, CLUSTERS])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_another_content_type_is_400(shared: World, path: str, kind: str) -> None:
    answer = shared.call("POST", path, b'{"name": "a"}', Content_Type=kind)
    assert answer.status_code == 400
    assert "application/json" in said(answer)


def test_requests_without_a_body_may_say_any_type(full: World) -> None:
    uuid = full.call("GET", f"{TEMPLATES}/t-one").json["uuid"]
    answer = full.call("DELETE", f"{TEMPLATES}/{uuid}", Content_Type="application/octet-stream")
    assert answer.status_code == 400
    assert "referenced" in said(answer)


@pytest.mark.parametrize("name", ["a" * 300, "", "-a", "a b", "ä", "a\n", 5, None, ["a"]])
def test_names_of_applications(shared: World, name: object) -> None:
    answer = shared.call("POST", APPS, {"name": name})
    assert answer.status_code == 400
    assert said(answer).startswith("name ")


@pytest.mark.parametrize("name", ["a" * 300, "", "1a", "a b", "a\n", 5, ["a"]])
@pytest.mark.parametrize("path", [CLUSTERS, TEMPLATES])
def test_names_of_clusters_and_templates(shared: World, path: str, name: object) -> None:
    answer = shared.call("POST", path, {"name": name, "cluster_template_id": "t-one", "coe": "swarm", "image_id": "i"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"cluster_template_id": "t-one", "node_count": "2"}, "node_count must be an integer or null"),
        ({"cluster_template_id": "t-one", "node_count": True}, "node_count must be an integer or null"),
        ({"cluster_template_id": "t-one", "node_count": 2.0}, "node_count must be an integer or null"),
        ({"cluster_template_id": "t-one", "node_count": -1}, "node_count must be at least 0"),
        ({"cluster_template_id": "t-one", "node_count": 10**30}, "node_count must be at most 1000"),
        ({"cluster_template_id": "t-one", "labels": {"a": {}}}, "labels.a must be a string"),
        ({"cluster_template_id": "t-one", "uuid": "x"}, "Unknown attribute: uuid"),
        ({"name": "x"}, "cluster_template_id is required"),
        ([], "the body must be an object"),
    ],
)
def test_a_refusal_names_the_field(shared: World, body: Any, message: str) -> None:
    answer = shared.call("POST", CLUSTERS, body)
    assert answer.status_code == 400
    assert said(answer).startswith(message)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\x00b"])
def test_text_that_no_database_keeps(full: World, text: str) -> None:
    for body in ({"A": text}, {text: "a"}):
        assert full.call("PATCH", f"{APPS}/shop/config", body).status_code == 400
    made = full.call("PATCH", f"{APPS}/shop", {"description": "\U0001f4a9 \u202e é"})
    assert (made.status_code, made.json["description"]) == (200, "\U0001f4a9 \u202e é")


@pytest.mark.parametrize("key", ["1A", "A-B", "A B", "", "ä", "A\n", "a" * 256])
def test_keys_of_config(full: World, key: str) -> None:
    assert full.call("PATCH", f"{APPS}/shop/config", {key: "x"}).status_code == 400


def test_a_refused_secret_is_not_repeated(full: World) -> None:
    answer = full.call("PATCH", f"{APPS}/shop/config", {"PASSWORD": ["open-sesame"]})
    assert answer.status_code == 400
    assert "PASSWORD" in said(answer)
    assert "open-sesame" not in answer.text


@pytest.mark.parametrize("text", [b"", b"NaN", b"[1, Infinity]", b"1" * 5000, b"[" * 100_000, b'{"a": 1', b"\xff"])
def test_json_that_is_none(text: bytes) -> None:
    with pytest.raises(errors.BadInput, match="JSON"):
        validation.parse(text)


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "move", "from": "/a", "path": "/b"}],
        [{"op": "replace", "path": "node_count", "value": 1}],
        [{"op": "replace", "path": "/node_count"}],
        [{"op": "replace", "path": "/node_count/x", "value": 1}],
        [{"op": "replace", "path": "/node_count", "value": "2"}],
        [{"op": "replace", "path": "/node_count", "value": -1}],
        [{"op": "replace", "path": "/node_count", "value": None}],
        [{"op": "remove", "path": "/no_such_field"}],
        [{"op": "remove", "path": "/name"}],
        [{"op": "replace", "path": "/uuid", "value": "x"}],
        [{"op": "remove", "path": "/labels/none"}],
        [{"op": "replace", "path": "/master_count", "value": 2}],
        [{"op": "add", "path": "/labels/unknown", "value": "x"}],
        [{"op": "replace", "path": "/status", "value": "x"}],
        {"node_count": 2},
    ],
)
def test_patches_that_are_none(full: World, patch: Any) -> None:
    assert full.call("PATCH", f"{CLUSTERS}/one", patch).status_code == 400


@pytest.mark.parametrize("path", [f"{TEMPLATES}/t-one", f"{CLUSTERS}/one", f"{CLUSTERS}/one/nodegroups/default-worker"])
def test_a_patch_of_nothing_changes_nothing(full: World, path: str) -> None:
    before = full.call("GET", path, OpenStack_API_Version="container-infra latest").json
    assert full.call("PATCH", path, [], OpenStack_API_Version="container-infra latest").status_code in (200, 202)
    assert full.call("GET", path, OpenStack_API_Version="container-infra latest").json == before


def test_a_patch_without_a_form_comes_before_the_look_up(shared: World) -> None:
    assert shared.call("PATCH", f"{TEMPLATES}/none", {"name": "x"}).status_code == 400
    good = [{"op": "replace", "path": "/name", "value": "x"}]
    assert shared.call("PATCH", f"{TEMPLATES}/none", good).status_code == 404


@pytest.mark.parametrize("labels", ["{'a': {}}", "[1]", "{", "__import__('os')", "('a',)"])
def test_labels_in_pythons_spelling_are_read_not_run(shared: World, labels: str) -> None:
    patch = [{"op": "replace", "path": "/labels", "value": labels}]
    assert shared.call("PATCH", f"{TEMPLATES}/t-one", patch).status_code == 400
