# SPDX-License-Identifier: Apache-2.0
"""What clients are told of objects on their way: every phase in each API's own words."""

from __future__ import annotations

import dataclasses

import pytest

from stackyard.model.builds import BuildObserved, Step
from tests.api.world import World

CLUSTERS = "/container-infra/v1/clusters"
APP = "/application-deployment/v1/apps/shop"
SOURCE = {"source": {"repository": "https://example.org/a.git"}}
RESIZE = {"OpenStack_API_Version": "container-infra latest"}


def cluster(world: World) -> tuple[str, str | None]:
    shown = world.call("GET", f"{CLUSTERS}/one").json
    (short,) = world.call("GET", CLUSTERS).json["clusters"]
    assert short["status"] == shown["status"]
    return shown["status"], shown["status_reason"]


def test_a_clusters_life(world: World) -> None:
    template = {"coe": "swarm-mode", "image_id": "node", "name": "t"}
    world.call("POST", "/container-infra/v1/clustertemplates", template)
    uuid = world.call("POST", CLUSTERS, {"name": "one", "cluster_template_id": "t"}).json["uuid"]
    assert cluster(world) == ("CREATE_IN_PROGRESS", None)
    world.ready(uuid)
    assert cluster(world) == ("CREATE_COMPLETE", None)
    assert world.call("POST", f"{CLUSTERS}/one/actions/resize", {"node_count": 3}, **RESIZE).status_code == 202
    # At once, for clients that wait until it is over.
    assert cluster(world) == ("UPDATE_IN_PROGRESS", None)
    world.fail("clusters", uuid, "no room")
    assert cluster(world) == ("UPDATE_FAILED", "no room")
    assert world.call("GET", f"{CLUSTERS}/one").json["faults"] == {"cluster": "no room"}
    patch = [{"op": "replace", "path": "/node_count", "value": 1}]
    assert world.call("PATCH", f"{CLUSTERS}/one", patch).status_code == 202
    world.reach("clusters", uuid)
    assert cluster(world) == ("UPDATE_COMPLETE", None)
    assert "faults" not in world.call("GET", f"{CLUSTERS}/one").json
    assert world.call("DELETE", f"{CLUSTERS}/one").status_code == 204
    assert cluster(world) == ("DELETE_IN_PROGRESS", None)
    assert world.call("DELETE", f"{CLUSTERS}/one").status_code == 204
    again = world.call("POST", f"{CLUSTERS}/one/actions/resize", {"node_count": 1}, **RESIZE)
    assert again.status_code == 409


def test_a_cluster_that_could_not_be_made_can_be_retried_and_deleted(world: World) -> None:
    template = {"coe": "swarm-mode", "image_id": "node", "name": "t"}
    world.call("POST", "/container-infra/v1/clustertemplates", template)
    uuid = world.call("POST", CLUSTERS, {"name": "one", "cluster_template_id": "t"}).json["uuid"]
    world.fail("clusters", uuid, "image is missing")
    assert cluster(world) == ("CREATE_FAILED", "image is missing")
    assert world.call("GET", f"/container-infra/v1/certificates/{uuid}").status_code == 409
    assert world.call("POST", f"{CLUSTERS}/one/actions/resize", {"node_count": 1}, **RESIZE).status_code == 202
    assert cluster(world) == ("CREATE_IN_PROGRESS", None)
    world.fail("clusters", uuid, "image is missing")
    assert world.call("DELETE", f"{CLUSTERS}/one").status_code == 204


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (Step.QUEUED, "QUEUED"),
        (Step.FETCH, "BUILDING"),
        (Step.BUILD, "BUILDING"),
        (Step.RELEASE, "BUILDING"),
        (Step.DEPLOY, "DEPLOYING"),
    ],
)
def test_a_pushs_steps(full: World, step: Step, word: str) -> None:
    uuid = full.call("POST", f"{APP}/workflows", SOURCE).json["uuid"]
    with full.store.saving() as tx:
        build = dataclasses.replace(tx.builds.get(uuid), observed=BuildObserved(step=step, release=2))
        values = {"observed": tx.builds.mapper.document("observed", build)}
        tx.connection.execute(tx.builds.table.update().where(tx.builds.table.c.id == uuid).values(values))
    shown = full.call("GET", f"{APP}/workflows/1").json
    assert (shown["status"], shown["step"], shown["release"]) == (word, step.value, 2)
    assert full.call("GET", APP).json["status"] == word


def app(world: World) -> tuple[str, str | None, int]:
    shown = world.call("GET", APP).json
    return shown["status"], shown["status_reason"], shown["release"]


def test_an_applications_status_is_that_of_the_last_thing_asked(full: World) -> None:
    deployment = _deployment(full)
    assert app(full) == ("DEPLOYMENT_COMPLETE", None, 1)
    build = full.call("POST", f"{APP}/workflows", SOURCE).json["uuid"]
    assert app(full) == ("QUEUED", None, 1)
    full.fail("builds", build, "no Dockerfile")
    assert app(full) == ("ERROR", "no Dockerfile", 1)
    # A change of scale is newer than the push that failed, and is what the client waits for.
    assert full.call("PUT", f"{APP}/scale", {"web": 2}).status_code == 202
    assert app(full) == ("DEPLOYING", None, 1)
    full.reach("deployments", deployment)
    assert app(full) == ("DEPLOYMENT_COMPLETE", None, 1)
    assert full.call("PATCH", f"{APP}/config", {"A": "b"}).json["release"] == 2
    full.fail("deployments", deployment, "web keeps stopping")
    assert app(full) == ("ERROR", "web keeps stopping", 1)
    assert full.call("DELETE", APP).status_code == 202
    assert app(full) == ("DELETING", None, 1)


def test_a_rollback_is_a_workflow_that_can_be_looked_at(full: World) -> None:
    full.call("PATCH", f"{APP}/config", {"A": "b"})
    full.reach("deployments", _deployment(full), serving=2)
    begun = full.call("POST", f"{APP}/workflows", {"actions": ["deploy"], "du_id": "1"}).json
    assert (begun["release"], begun["status"], begun["actions"]) == (3, "DEPLOYING", ["deploy"])
    full.reach("deployments", _deployment(full), serving=3)
    assert full.call("GET", f"{APP}/workflows/{begun['uuid']}").json["status"] == "DEPLOYMENT_COMPLETE"
    releases = full.call("GET", f"{APP}/releases").json
    assert [(each["number"], each["current"], each["config_keys"]) for each in releases] == [
        (3, True, []),
        (2, False, ["A"]),
        (1, False, []),
    ]
    # The release carries its config: going back gives the old one back.
    assert full.call("GET", f"{APP}/config").json == {}


def _deployment(world: World) -> str:
    with world.store.reading() as tx:
        found = tx.deployments.of(tx.applications.find("shop", None).id)
    assert found
    return found.id
