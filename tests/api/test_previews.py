# SPDX-License-Identifier: Apache-2.0
"""What a push would change, asked over the API: services, texts, images, stages and scale, with secrets left out."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest

from stackyard.drivers.builders import compose
from stackyard.drivers.files.rendering import with_sealed
from stackyard.model.applications import Release
from stackyard.model.phase import Trigger
from tests.api.world import World

SHOP = "/application-deployment/v1/apps/shop"
COMPOSE = """
services:
  web:
    image: stackyard/base
    configs: [{source: conf, target: /etc/shop.conf}]
    secrets: [word]
  worker: {image: stackyard/base}
  prepare: {image: stackyard/base, x-stackyard: {stage: init, again: changed}}
  expand: {image: stackyard/base, x-stackyard: {stage: pre_upgrade}}
  contract: {image: stackyard/base, x-stackyard: {stage: post_upgrade}}
configs: {conf: {file: shop.conf, x-stackyard: {ini: true}}}
secrets: {word: {environment: WORD}}
"""
CONF = "[a]\nurl = ${URL}\nword = ${WORD}\n"
OLD, NEW = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def world(world: World) -> World:
    world.cluster()
    app = world.application()
    values = {"URL": "http://one", "WORD": {"secret": "open-sesame-7"}}
    assert world.call("PATCH", f"{SHOP}/config", values).status_code == 202
    spec = compose.parse(COMPOSE.replace("stackyard/base", f"r:5000/stackyard/base@{OLD}"), lambda _: CONF)
    world.newest["stackyard/base"] = OLD
    with world.store.transaction() as tx:
        of = tx.deployments.of(app.id)
        assert of
        release = Release(project_id=app.project_id, app_id=app.id, number=1, spec=with_sealed(world.secrets, spec))
        tx.releases.insert(release)
        tx.deployments.change(of, Trigger.CHANGE, "release", release=1)
    world.reach("deployments", of.id, serving=1, initialised={"prepare": "digest"})
    return world


def preview(world: World, text: str = COMPOSE, conf: str = CONF, **asked: Any) -> dict[str, Any]:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in (("compose.yaml", text), ("shop.conf", conf)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content.encode())
            tar.addfile(entry, io.BytesIO(content.encode()))
    sent = world.call("POST", "/application-deployment/v1/sources", packed.getvalue(), Content_Type="application/gzip")
    digest = sent.json["digest"]  # type: ignore[index]
    answer = world.call("POST", f"{SHOP}/preview", {"digest": digest, **asked})
    assert answer.status_code == 200, answer.text
    assert "open-sesame-7" not in answer.text
    found: dict[str, Any] = answer.json
    return found


def test_the_same_tree_changes_nothing_but_runs_the_stages_of_every_release(world: World) -> None:
    found = preview(world)
    assert [found[name] for name in ("services", "files", "config", "scale")] == [[], [], [], []]
    assert [each["service"] for each in found["stages"]] == ["expand", "contract"]


def test_a_text_is_told_option_by_option_with_the_services_that_have_it(world: World) -> None:
    found = preview(world, conf=CONF + "[b]\nc = 1\n", config={"URL": "http://two"}, scale={"worker": 2})
    assert found["services"] == [{"name": "web", "change": "changed", "fields": ["files"]}]
    (file,) = found["files"]
    assert {(each["option"], *each["after"]) for each in file["changes"]} == {("url", "http://two"), ("c", "1")}
    assert found["config"] == [{"key": "URL", "change": "changed", "secret": False}]
    assert found["scale"] == [{"service": "worker", "now": 1, "then": 2}]


def test_a_new_secret_is_told_by_its_name_and_changes_who_has_it(world: World) -> None:
    found = preview(world, config={"WORD": {"secret": "another-word-8"}})
    assert found["config"] == [{"key": "WORD", "change": "changed", "secret": True}]
    assert [each["name"] for each in found["services"]] == ["web"]
    assert "another-word-8" not in str(found)


def test_a_newer_image_changes_all_that_run_it_and_runs_init_again(world: World) -> None:
    world.newest["stackyard/base"] = NEW
    found = preview(world, COMPOSE.replace("  worker: {image: stackyard/base}\n", "  other: {image: redis}\n"))
    assert found["images"][0] == {"image": "stackyard/base", "now": OLD, "newest": NEW}
    changed = {each["name"]: each["change"] for each in found["services"]}
    assert changed == {"web": "changed", "other": "added", "prepare": "changed", "worker": "removed"} | {
        "expand": "changed",
        "contract": "changed",
    }
    assert [each["service"] for each in found["stages"]] == ["expand", "prepare", "contract"]


def test_an_archive_that_is_not_there_is_told(world: World) -> None:
    assert world.call("POST", f"{SHOP}/preview", {"digest": "sha256:" + "0" * 64}).status_code == 404
