# SPDX-License-Identifier: Apache-2.0
"""Clusters under their first name, for clients of 2015: only where the option says so."""

from __future__ import annotations

import pytest
from cryptography import x509

from tests.api.signing import signing_request
from tests.api.world import OTHER, World

BASE = "/container-infra/v1"
MODEL = {"name": "m", "coe": "swarm", "image_id": "node"}
V2 = {"OpenStack_API_Version": "container-infra 1.2"}


@pytest.fixture
def old(world: World) -> World:
    """A world that serves bays, with a baymodel `m`."""
    world.conf.set_override("bays", True, "api")
    world.serve()
    answer = world.call("POST", f"{BASE}/baymodels", MODEL)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"http://localhost{BASE}/baymodels/{answer.json['uuid']}"
    return world


def test_they_are_not_served_unless_asked_for(full: World) -> None:
    for path in ("bays", "baymodels", "bays/one"):
        assert full.call("GET", f"{BASE}/{path}").status_code == 404
    assert "bays" not in full.call("GET", f"{BASE}/v1").text


def test_a_bays_life_at_the_first_version(old: World) -> None:
    wanted = {"name": "b", "baymodel_id": "m", "bay_create_timeout": 30, "node_count": 2}
    made = old.call("POST", f"{BASE}/bays", wanted)
    assert made.status_code == 201
    bay = made.json
    assert made.headers["Location"] == f"http://localhost{BASE}/bays/{bay['uuid']}"
    assert (bay["name"], bay["status"], bay["bay_create_timeout"]) == ("b", "CREATE_IN_PROGRESS", 30)
    assert bay["baymodel_id"] == old.call("GET", f"{BASE}/baymodels/m").json["uuid"]
    assert not {"cluster_template_id", "create_timeout", "faults"} & set(bay)
    old.ready(bay["uuid"])
    patch = [{"op": "replace", "path": "/node_count", "value": 3}]
    changed = old.call("PATCH", f"{BASE}/bays/b", patch)
    assert (changed.status_code, changed.json["status"]) == (200, "UPDATE_IN_PROGRESS")
    assert changed.json["node_count"] == 3
    assert old.call("DELETE", f"{BASE}/bays/b").status_code == 204
    assert old.call("GET", f"{BASE}/clusters/b").json["status"] == "DELETE_IN_PROGRESS"


def test_from_the_second_version_on_it_is_accepted_only(old: World) -> None:
    made = old.call("POST", f"{BASE}/bays", {"name": "b", "baymodel_id": "m"}, **V2)
    assert (made.status_code, set(made.json)) == (202, {"uuid"})
    old.ready(made.json["uuid"])
    patch = [{"op": "replace", "path": "/node_count", "value": 3}]
    changed = old.call("PATCH", f"{BASE}/bays/b", patch, **V2)
    assert (changed.status_code, changed.json) == (202, made.json)


def test_lists_and_their_links_speak_of_bays(old: World) -> None:
    for name in ("b1", "b2"):
        old.call("POST", f"{BASE}/bays", {"name": name, "baymodel_id": "m", "labels": {"a.faults": "x"}})
    for path in ("bays", "bays/detail"):
        page = old.call("GET", f"{BASE}/{path}?limit=1").json
        (bay,) = page["bays"]
        assert bay["links"][0]["href"] == f"http://localhost{BASE}/bays/{bay['uuid']}"
        assert page["next"].startswith(f"http://localhost{BASE}/{path}?")
        following = old.call("GET", page["next"].removeprefix("http://localhost")).json
        assert [each["name"] for each in following["bays"]] == ["b2"]
        assert bay["labels"] == {"a.faults": "x"}
    assert [each["name"] for each in old.call("GET", f"{BASE}/baymodels/detail").json["baymodels"]] == ["m"]


def test_what_went_wrong_is_told_in_its_old_place(old: World) -> None:
    uuid = old.call("POST", f"{BASE}/bays", {"name": "b", "baymodel_id": "m"}).json["uuid"]
    old.fail("clusters", uuid, "no room")
    shown = old.call("GET", f"{BASE}/bays/b").json
    assert (shown["status"], shown["bay_faults"]) == ("CREATE_FAILED", {"cluster": "no room"})


def test_a_refusal_names_the_field_as_it_was_sent(old: World) -> None:
    answer = old.call("POST", f"{BASE}/bays", {"name": "b", "cluster_template_id": "m"})
    assert answer.status_code == 400
    answer = old.call("POST", f"{BASE}/bays", {"name": "b"})
    assert answer.json["errors"][0]["title"] == "baymodel_id is required"


def test_certificates_of_a_bay(old: World) -> None:
    uuid = old.call("POST", f"{BASE}/bays", {"name": "b", "baymodel_id": "m"}).json["uuid"]
    old.ready(uuid)
    shown = old.call("GET", f"{BASE}/certificates/b")
    assert (shown.status_code, shown.json["bay_uuid"], shown.json["cluster_uuid"]) == (200, uuid, uuid)
    for field in ("bay_uuid", "cluster_uuid"):
        signed = old.call("POST", f"{BASE}/certificates", {field: uuid, "csr": signing_request()})
        assert signed.status_code == 201
        assert x509.load_pem_x509_certificate(signed.json["pem"].encode())
    assert old.call("POST", f"{BASE}/certificates", {"csr": signing_request()}).status_code == 400
    assert (
        old.call("POST", f"{BASE}/certificates", {"bay_uuid": uuid, "csr": signing_request()}, OTHER).status_code == 400
    )


def test_another_projects_bays_do_not_exist(old: World) -> None:
    old.call("POST", f"{BASE}/bays", {"name": "b", "baymodel_id": "m"})
    assert old.call("GET", f"{BASE}/bays/b", token=OTHER).status_code == 404
    assert old.call("GET", f"{BASE}/bays", token=OTHER).json == {"bays": []}
    assert old.call("GET", f"{BASE}/bays", token="").status_code == 401


def test_discovery_lists_them(old: World) -> None:
    links = old.call("GET", f"{BASE}", token="").json["bays"]
    assert links[0]["href"] == f"http://localhost{BASE}/bays/"
