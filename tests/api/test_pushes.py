# SPDX-License-Identifier: Apache-2.0
"""Pushes that change nothing, and plans of what a push would do."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from stackyard.model.applications import AppSpec, Release, Service
from stackyard.model.builds import BuildObserved, Step
from stackyard.model.phase import Trigger
from tests.api.world import READER, World, archive

API = "/application-deployment/v1"
IMAGES = {"web": "r@sha256:1"}


def upload(world: World, **files: str) -> str:
    return str(world.call("POST", f"{API}/sources", archive(**files), Content_Type="application/gzip").json["digest"])


def push(world: World, digest: str, **more: Any) -> Any:
    answer = world.call("POST", f"{API}/apps/shop/workflows", {"source": {"digest": digest}, **more})
    assert answer.status_code == 200, answer.text
    return answer.json


def serve(world: World, workflow: Any, number: int) -> None:
    """Let a push end with a release that serves."""
    digest = workflow["source"]["digest"]
    build = world.reach(
        "builds",
        workflow["uuid"],
        observed=BuildObserved(Step.DONE, digest, release=number, images={"web": "r@sha256:1"}),
    )
    with world.store.transaction() as tx:
        spec = AppSpec((Service("web", image="r@sha256:1", port=8000),))
        app = tx.applications.get(build.app_id)
        deployment = tx.deployments.of(app.id)
        assert deployment
        release = Release(
            project_id=build.project_id,
            app_id=app.id,
            number=number,
            spec=spec,
            build_id=build.id,
            config=deployment.config,
        )
        tx.releases.insert(release)
        tx.deployments.change(deployment, Trigger.CHANGE, "release", release=number)
    world.reach("deployments", deployment.id, serving=number)


class TestNothingChanged:
    def test_the_same_source_is_done_at_once(self, full: World) -> None:
        digest = upload(full, app="1")
        first = push(full, digest)
        assert first["unchanged"] is False
        serve(full, first, 2)
        again = push(full, digest)
        assert (again["unchanged"], again["release"], again["uuid"]) == (True, 2, first["uuid"])
        assert again["status"] == "DEPLOYMENT_COMPLETE"
        assert again["images"] == {"web": "r@sha256:1"}
        assert len(full.call("GET", f"{API}/apps/shop/workflows").json) == 1

    def test_force_another_source_or_a_push_under_way_build(self, full: World) -> None:
        digest = upload(full, app="1")
        serve(full, push(full, digest), 2)
        assert push(full, digest, force=True)["unchanged"] is False
        assert push(full, digest)["unchanged"] is False, "what is under way will change it"

    def test_other_config_builds(self, full: World) -> None:
        digest = upload(full, app="1")
        serve(full, push(full, digest), 2)
        app = full.call("GET", f"{API}/apps/shop").json
        with full.store.transaction() as tx:
            found = tx.deployments.of(app["uuid"])
            assert found
            tx.deployments.change(found, Trigger.CHANGE, "config", config=full.secrets.seal('{"A": "b"}'))
        assert push(full, digest)["unchanged"] is False

    def test_another_source(self, full: World) -> None:
        serve(full, push(full, upload(full, app="1")), 2)
        assert push(full, upload(full, app="2"))["unchanged"] is False

    def test_a_failed_release_is_tried_again(self, full: World) -> None:
        digest = upload(full, app="1")
        serve(full, push(full, digest), 2)
        app = full.call("GET", f"{API}/apps/shop").json
        with full.store.transaction() as tx:
            deployment = tx.deployments.of(app["uuid"])
            assert deployment
            tx.deployments.change(deployment, Trigger.CHANGE, "release", release=3)
        full.fail("deployments", deployment.id, "it crashed")
        assert push(full, digest)["unchanged"] is False


class TestPlan:
    def test_what_a_push_would_do(self, world: World) -> None:
        files = {"requirements.txt": "", "app.py": "import http\n", "Procfile": "web: python app.py\nwork: sleep 9\n"}
        answer = world.call("POST", f"{API}/sources/{upload(world, **files)}/plan")
        assert answer.status_code == 200, answer.text
        assert [service["name"] for service in answer.json["services"]] == ["web", "work"]
        assert answer.json["services"][0]["pack"]["runtime"]["name"] == "Python"
        assert answer.json["services"][0]["port"] == 8000
        assert list((pathlib.Path(world.conf.state_dir) / "trees").iterdir()) == []

    def test_what_is_no_application(self, world: World) -> None:
        answer = world.call("POST", f"{API}/sources/{upload(world, notes='hello')}/plan")
        assert answer.status_code == 400
        assert "no application found: looked for compose.yaml" in answer.json["faultstring"]

    def test_what_is_not_there(self, world: World) -> None:
        assert world.call("POST", f"{API}/sources/{'0' * 64}/plan").status_code == 404
        assert world.call("POST", f"{API}/sources/nonsense/plan").status_code == 400
        assert world.call("POST", f"{API}/sources/{'0' * 64}/plan", token=READER).status_code == 403


class TestBuildpacks:
    def test_are_kept_until_others_are_chosen(self, full: World) -> None:
        digest, urls = upload(full, app="1"), ["https://example.org/a#v1", "https://example.org/b"]
        assert full.call("GET", f"{API}/apps/shop").json["buildpacks"] == []
        first = push(full, digest, buildpacks=urls)
        assert full.call("GET", f"{API}/apps/shop").json["buildpacks"] == urls
        with full.store.reading() as tx:
            assert list(tx.builds.get(first["uuid"]).source.buildpacks) == urls
        serve(full, first, 2)
        assert push(full, digest)["unchanged"] is True, "the choice is kept"
        assert push(full, digest, buildpacks=urls)["unchanged"] is True
        changed = push(full, digest, buildpacks=[])
        assert changed["unchanged"] is False, "another choice makes another image"
        assert full.call("GET", f"{API}/apps/shop").json["buildpacks"] == []
        with full.store.reading() as tx:
            assert tx.builds.get(changed["uuid"]).source.buildpacks == ()

    def test_passwords_are_sealed(self, full: World) -> None:
        secret = "https://user:hushhush@example.org/a"
        made = push(full, upload(full, app="1"), buildpacks=[secret])
        assert full.call("GET", f"{API}/apps/shop").json["buildpacks"] == ["https://***@example.org/a"]
        with full.store.reading() as tx:
            source = tx.builds.get(made["uuid"]).source
            app = tx.applications.get(tx.builds.get(made["uuid"]).app_id)
        assert "hushhush" not in repr((source, app))
        assert json.loads(full.services.secrets.open(source.sealed_buildpacks)) == [secret]
        assert "hushhush" not in full.call("GET", f"{API}/apps/shop/events").text

    def test_wrong_ones_are_refused(self, full: World) -> None:
        digest = upload(full, app="1")
        for wrong in (["file:///etc"], ["https://example.org/a#--x"], ["python"], [""], "https://example.org/a"):
            body = {"source": {"digest": digest}, "buildpacks": wrong}
            assert full.call("POST", f"{API}/apps/shop/workflows", body).status_code == 400
        assert full.call("GET", f"{API}/apps/shop").json["buildpacks"] == []


class TestRebase:
    def test_what_had_nothing_to_move_says_so(self, full: World) -> None:
        serve(full, push(full, upload(full, app="1")), 2)
        asked = full.call("POST", f"{API}/apps/shop/workflows", {"actions": ["rebase"]}).json
        assert asked["unchanged"] is False, "nobody knows yet"
        full.reach("builds", asked["uuid"], observed=BuildObserved(Step.DONE, release=2))
        assert full.call("GET", f"{API}/apps/shop/workflows/{asked['uuid']}").json["unchanged"] is True
        moved = full.call("POST", f"{API}/apps/shop/workflows", {"actions": ["rebase"]}).json
        full.reach("builds", moved["uuid"], observed=BuildObserved(Step.DONE, release=3, images=IMAGES))
        assert full.call("GET", f"{API}/apps/shop/workflows/{moved['uuid']}").json["unchanged"] is False
