# SPDX-License-Identifier: Apache-2.0
"""A policy file changes who may do what; what is wrong in it is told at start."""

from __future__ import annotations

import pathlib

import pytest

from stackyard.api.container_infra.policies import EVERYWHERE, RULES
from stackyard.model import errors
from tests.api.world import ADMIN, MEMBER, READER, World

BASE = "/container-infra/v1"


@pytest.fixture
def file(full: World) -> pathlib.Path:
    return pathlib.Path(full.conf.state_dir, "policy.yaml")


def served(world: World, file: pathlib.Path, text: str) -> World:
    file.write_text(text)
    world.serve()
    return world


def test_an_override_opens_what_was_closed(full: World, file: pathlib.Path) -> None:
    assert full.call("GET", f"{BASE}/mservices", token=READER).status_code == 403
    served(full, file, '"magnum-service:get_all": "role:reader"\n')
    assert full.call("GET", f"{BASE}/mservices", token=READER).status_code == 200
    assert full.call("GET", f"{BASE}/quotas", token=READER).status_code == 403


def test_an_override_closes_what_was_open(full: World, file: pathlib.Path) -> None:
    served(full, file, '"cluster:resize": "role:operator"\n"clustertemplate:publish": "role:member"\n')
    latest = {"OpenStack_API_Version": "container-infra latest"}
    assert full.call("POST", f"{BASE}/clusters/one/actions/resize", {"node_count": 2}, **latest).status_code == 403
    operator = "opa@demo:operator"
    answer = full.call("POST", f"{BASE}/clusters/one/actions/resize", {"node_count": 2}, operator, **latest)
    assert answer.status_code == 202


def test_publishing_goes_by_its_own_rule(full: World, file: pathlib.Path) -> None:
    body = {"coe": "swarm-mode", "image_id": "node", "public": True}
    assert full.call("POST", f"{BASE}/clustertemplates", body).status_code == 403
    served(full, file, '"clustertemplate:publish": "role:member"\n')
    assert full.call("POST", f"{BASE}/clustertemplates", body).status_code == 201


def test_a_rule_that_others_are_made_of_changes_them_all(full: World, file: pathlib.Path) -> None:
    auditor = "aud@demo:auditor"
    assert full.call("GET", f"{BASE}/clusters", token=auditor).status_code == 403
    served(full, file, '"project_reader": "role:auditor and project_id:%(project_id)s"\n')
    assert full.call("GET", f"{BASE}/clusters", token=auditor).status_code == 200
    assert full.call("GET", f"{BASE}/clusters/one", token=auditor).status_code == 200
    assert full.call("GET", f"{BASE}/clusters", token=READER).status_code == 403


def test_who_is_an_admin_is_said_by_a_rule_too(full: World, file: pathlib.Path) -> None:
    chief = "cho@ops:chief"
    assert full.call("GET", f"{BASE}/clusters/one", token=chief).status_code == 404
    served(full, file, '"context_is_admin": "role:chief"\n')
    assert full.call("GET", f"{BASE}/clusters/one", token=chief).status_code == 200
    assert full.call("GET", f"{BASE}/clusters/one", token=ADMIN).status_code == 404
    assert full.call("GET", f"{BASE}/clusters", token="adm@ops:admin,reader").json == {"clusters": []}


@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("GET", "clusters", "cluster:get_all_all_projects"),
        ("GET", "clusters/detail", "cluster:detail_all_projects"),
        ("GET", "clusters/one", "cluster:get_one_all_projects"),
        ("DELETE", "clusters/one", "cluster:delete_all_projects"),
        ("GET", "clustertemplates", "clustertemplate:get_all_all_projects"),
        ("GET", "clustertemplates/t-one", "clustertemplate:get_one_all_projects"),
        ("DELETE", "clustertemplates/t-one", "clustertemplate:delete_all_projects"),
        ("GET", "clusters/one/nodegroups", "nodegroup:get_all_all_projects"),
    ],
)
def test_admins_need_a_further_rule_for_all_projects(
    full: World, file: pathlib.Path, method: str, path: str, rule: str
) -> None:
    served(full, file, f'"{rule}": "!"\n')
    headers = {"OpenStack_API_Version": "container-infra latest"}
    answer = full.call(method, f"{BASE}/{path}", token=ADMIN, **headers)
    assert answer.status_code == 403
    assert rule in answer.json["errors"][0]["detail"]
    assert full.call(method, f"{BASE}/{path}", token=MEMBER, **headers).status_code != 403


def test_every_further_rule_is_one() -> None:
    names = {name for name, _ in RULES}
    assert {*EVERYWHERE, *EVERYWHERE.values()} <= names
    assert {name for name in names if name.endswith("_all_projects")} == set(EVERYWHERE.values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"cluster:creat": "role:reader"', "there is no rule cluster:creat"),
        ('"cluster:create": "role:reader and ("', "check of cluster:create can't be understood"),
        ('"cluster:create": "nonsense"', "check of cluster:create can't be understood"),
        ('"cluster:create": "rule:nope"', "['cluster:create'] refer to rules that are not there"),
        ('"project_member": "rule:project_member"', "refer to rules that are not there, or to themselves"),
        ('"cluster:create": [', "expected"),
        ("- cluster:create", "its lines must look like"),
        ('"cluster:create": 5', "its lines must look like"),
    ],
)
def test_a_wrong_file_is_told_at_start_with_its_name(full: World, file: pathlib.Path, text: str, told: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        served(full, file, text)
    assert str(file) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_was_named_must_be_there(full: World, tmp_path: pathlib.Path) -> None:
    options = tmp_path / "stackyard.conf"
    options.write_text(f"[DEFAULT]\nstate_dir = {tmp_path}\n[oslo_policy]\npolicy_file = rules.yaml\n")
    full.conf([], project="stackyard", default_config_files=[str(options)])
    full.conf.clear_override("state_dir")
    with pytest.raises(errors.BadInput, match=r"rules\.yaml is not there"):
        full.serve()
    (tmp_path / "rules.yaml").write_text('"stats:get_all": "!"\n')
    full.serve()
    assert full.call("GET", f"{BASE}/stats").status_code == 403


def test_an_empty_file_changes_nothing(full: World, file: pathlib.Path) -> None:
    served(full, file, "# nothing yet\n")
    assert full.call("GET", f"{BASE}/clusters").status_code == 200
