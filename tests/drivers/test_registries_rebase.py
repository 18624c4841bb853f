# SPDX-License-Identifier: Apache-2.0
"""Images of language packs moved to a patched stack in a real registry, then run: no build, no engine in it."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
from collections.abc import Iterator

import builders_rig
import docker
import loopback_registry
import pytest
from builders_rig import Bench, client

from stackyard.drivers.builders import labels
from stackyard.drivers.registries.manifests import Manifests
from stackyard.drivers.registries.rebase import RegistryRebase
from stackyard.model import errors
from stackyard.model.applications import BuildSpec, Service

pytestmark = pytest.mark.engine

APP = "sytestb4-0000"


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return client()


@pytest.fixture
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    with builders_rig.registry(engine, "sytest-builders-rebase-registry", APP) as running:
        yield running


@pytest.fixture
def bench(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry, engine: docker.DockerClient) -> Bench:
    (tmp_path / "app.py").write_text("import os; print('application', os.path.exists('/opt/patched'))")
    return Bench(tmp_path, registry, engine, APP)


def patched(bench: Bench, *lines: str) -> None:
    """Publish another stackyard/python:latest, FROM the one that is there."""
    text = "\n".join(["FROM stackyard/python", "USER root", "RUN touch /opt/patched", "USER app", *lines]).encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
    name = f"{bench.registry.address()}/stackyard/python:latest"
    for answer in bench.engine.api.build(
        fileobj=io.BytesIO(context.getvalue()), custom_context=True, tag=name, decode=True, rm=True
    ):
        assert "error" not in answer
    assert "error" not in bench.engine.api.push(name)


def mover(bench: Bench) -> RegistryRebase:
    address = bench.registry.address()
    return RegistryRebase(Manifests(f"http://{address}/v2", lambda _: {}), address)


def told(bench: Bench, image: str) -> dict[str, object]:
    found = bench.engine.api.inspect_image(image)["Config"]["Labels"]
    return dict(json.loads(found[labels.LIFECYCLE])["runImage"])


def test_an_image_moves_to_a_patched_stack(bench: Bench) -> None:
    image = bench.push()
    assert mover(bench).rebase(image).image == image, "it is on the newest stack"
    patched(bench)
    moved = mover(bench).rebase(image).image
    assert moved != image
    assert mover(bench).rebase(image).image == moved, "done twice, it is the same"
    assert mover(bench).rebase(moved).image == moved
    bench.engine.images.pull(moved)
    assert bench.run(moved) == "application True\n"
    before, after = told(bench, image), told(bench, moved)
    assert before["image"] == after["image"] == "stackyard/python"
    assert str(after["reference"]).startswith(f"{bench.registry.address()}/stackyard/python@sha256:")
    assert before["reference"] != after["reference"]
    layers = bench.engine.api.inspect_image(moved)["RootFS"]["Layers"]
    assert layers[-1] == bench.engine.api.inspect_image(image)["RootFS"]["Layers"][-1]
    assert after["topLayer"] == layers[-2]


def test_what_was_installed_moves_along(bench: Bench) -> None:
    (bench.folder / "setup.py").write_text("from setuptools import setup\nsetup(name='own', py_modules=['own'])\n")
    (bench.folder / "own.py").write_text("NAME = 'installed'\n")
    (bench.folder / "requirements.txt").write_text(".\n")
    (bench.folder / "app.py").write_text("import own, os; print(own.__file__, os.path.exists('/opt/patched'))")
    image = bench.push()
    patched(bench)
    moved = mover(bench).rebase(image).image
    bench.engine.images.pull(moved)
    assert bench.run(moved).split()[1] == "True"


def test_a_stack_that_promises_something_else(bench: Bench) -> None:
    image = bench.push()
    patched(bench, f"LABEL {labels.STACK_ID}=stackyard.python-3.12")
    with pytest.raises(
        errors.GiveUp, match=r"promises stackyard\.python-3\.12 now, .* built for stackyard\.python-3\.11"
    ):
        mover(bench).rebase(image)


def test_an_image_of_a_dockerfile(bench: Bench) -> None:
    (bench.folder / "Dockerfile").write_text("FROM sytest-builders-from:1\nCOPY app.py .\n")
    image = bench.build(Service("web", build=BuildSpec(dockerfile="Dockerfile")))
    with pytest.raises(errors.GiveUp, match="does not tell which stack it is on: made by a Dockerfile"):
        mover(bench).rebase(image)


def test_another_registry_s_image_and_one_that_is_gone(bench: Bench) -> None:
    with pytest.raises(errors.GiveUp, match="not of the platform's own registry"):
        mover(bench).rebase(f"docker.io/library/redis@sha256:{'0' * 64}")
    with pytest.raises(errors.GiveUp, match="is no longer in the platform's registry"):
        mover(bench).rebase(f"{bench.registry.address()}/{bench.repository()}@sha256:{'0' * 64}")


def test_the_same_content_of_another_revision_is_the_same_image(bench: Bench) -> None:
    bench.revision = "one"
    first = bench.push()
    bench.revision = "two"
    assert bench.push() == first
    found = bench.engine.api.inspect_image(first)["Config"]["Labels"]
    assert json.loads(found[labels.PROJECT])["source"]["version"]["commit"] == "one"
    process = json.loads(found[labels.BUILD])["processes"][0]
    assert (process["type"], process["buildpackID"]) == ("web", "stackyard/python")
