# SPDX-License-Identifier: Apache-2.0
"""Schemathesis sends what the API's description allows, and what it does not, to every route.

Whatever comes back must be in the description: its status, its type, its schema; and nothing may be a 500. A short
walk, the same each time, is part of all tests. A long one, each time another:

    STACKYARD_FUZZ=2000 pytest tests/api/test_fuzz.py
"""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stackyard.worker.heartbeat import Heartbeat
from tests.api.descriptions import described
from tests.api.signing import signing_request
from tests.api.world import ADMIN, MEMBER, OTHER, READER, World

load_all_checks()
BASE = "/container-infra/v1"
LONG = "STACKYARD_FUZZ" in os.environ
EXAMPLES = int(os.environ.get("STACKYARD_FUZZ", "8"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# What there is in the world, by the names that paths and bodies have for it.
REAL = {
    "cluster": ["one", "two"],
    "cluster_uuid": ["one"],
    "bay_uuid": ["one"],
    "csr": [signing_request()],
    "hostcluster_id": ["one"],
    "template": ["t-one", "unused"],
    "cluster_template": ["t-one"],
    "cluster_template_id": ["t-one"],
    "baymodel_id": ["t-one"],
    "nodegroup": ["default-worker", "default-master", "more"],
    "project": ["id-demo"],
    "project_id": ["id-demo", "id-other"],
    "resource": ["Cluster", "Application"],
    "flavor_id": ["small"],
    "image_id": ["node"],
    "path": ["/node_count", "/name", "/labels/drain_seconds", "/min_node_count", "/hard_limit", "/public"],
}
TOKENS = (MEMBER, MEMBER, MEMBER, ADMIN, ADMIN, READER, OTHER)
ADMINS = (ADMIN, ADMIN, ADMIN, MEMBER)
FOR_ADMINS = ("/v1/quotas", "/v1/mservices")
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=not LONG,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Stage:
    """Stands between Schemathesis, which wants its application early, and the world of each test."""

    world: World

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return self.world.app(environ, start_response)


STAGE = Stage()
SCHEMA = schemathesis.openapi.from_dict(described("bays"))
SCHEMA.app = STAGE
OPERATIONS: dict[str, APIOperation] = {each.ok().label: each.ok() for each in SCHEMA.get_all_operations()}
FIT, UNFIT = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
WALKS = [(label, FIT) for label in OPERATIONS] + [
    (label, UNFIT)  # where there is anything that may be unfit
    for label, operation in OPERATIONS.items()
    if operation.definition.raw["parameters"] or operation.definition.raw.get("requestBody")
]


def real(value: Any, chance: Callable[[], bool], pick: Callable[[list[str]], str]) -> Any:
    """Return what was generated with names of real things put in, here and there."""
    if isinstance(value, list):
        return [real(each, chance, pick) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: pick(REAL[name]) if name in REAL and chance() else real(each, chance, pick)
        for name, each in value.items()
    }


def send(case: Case, data: st.DataObject) -> None:
    def chance() -> bool:
        return data.draw(st.integers(0, 9)) < 8

    def pick(names: list[str]) -> str:
        return data.draw(st.sampled_from(names))

    case.path_parameters = real(case.path_parameters, chance, pick)
    case.body = real(case.body, chance, pick)
    tokens = ADMINS if case.path.startswith(FOR_ADMINS) else TOKENS
    headers = {"X-Auth-Token": data.draw(st.sampled_from(tokens))}
    case.validate_response(case.call(headers=headers), checks=CHECKS)


@pytest.fixture(scope="module")
def abundant(furnished: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a world with more in it: what may be deleted, and what only administrators see."""
    folder = tmp_path_factory.mktemp("abundant")
    shutil.copytree(furnished, folder, dirs_exist_ok=True)
    world = World(folder)
    world.cluster("two")
    world.call("POST", f"{BASE}/clustertemplates", {"coe": "swarm", "image_id": "node", "name": "unused"})
    latest = {"OpenStack_API_Version": "container-infra latest"}
    world.call("POST", f"{BASE}/clusters/one/nodegroups", {"name": "more"}, **latest)
    world.call("POST", f"{BASE}/quotas", {"project_id": "id-demo", "hard_limit": 50}, ADMIN)
    Heartbeat(world.store).beat()
    world.close()
    return folder


@pytest.fixture
def served(abundant: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[World]:
    shutil.copytree(abundant, tmp_path, dirs_exist_ok=True)
    world = World(tmp_path, "bays")
    STAGE.world = world
    yield world
    world.close()


@pytest.mark.parametrize(("label", "mode"), WALKS, ids=lambda value: getattr(value, "value", value))
def test_every_answer_is_in_the_description(served: World, label: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[label]

    @SETTINGS
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def walk(case: Case, data: st.DataObject) -> None:
        send(case, data)

    walk()
