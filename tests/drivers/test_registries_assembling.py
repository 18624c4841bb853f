# SPDX-License-Identifier: Apache-2.0
"""Images written in a real registry of another one and layers on top, then run by the real Engine."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any

import builders_rig
import docker
import loopback_registry
import pytest
from builders_rig import client

from stackyard.drivers.builders.layers import Layer, Overlay, assembled

pytestmark = pytest.mark.engine

APP = "sytestb5-0000"
TARGET = "sytest-assembling/app"


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return client()


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    with builders_rig.registry(engine, "sytest-builders-assembling-registry", APP) as running:
        yield running


@pytest.fixture
def below(registry: loopback_registry.LoopbackRegistry) -> str:
    return f"{registry.address()}/stackyard/python@{registry.digest('stackyard/python', 'latest')}"


def layer(text: str) -> Layer:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("app/told")
        entry.size, entry.mode = len(text), 0o644
        tar.addfile(entry, io.BytesIO(text.encode()))
    return Layer.of_tar(stream)


def overlay(engine: docker.DockerClient, below: str, text: str, revision: str = "") -> Overlay:
    base: dict[str, Any] = engine.api.inspect_image(engine.images.pull(below).id)
    config = {**base["Config"], "Entrypoint": ["cat"], "Cmd": ["/app/told"]}
    return Overlay(base, [layer(text)], config, {"revision": revision})


def test_what_is_on_top_runs_and_what_is_below_is_not_sent(
    registry: loopback_registry.LoopbackRegistry, engine: docker.DockerClient, below: str
) -> None:
    made = assembled(registry, below, overlay(engine, below, "one", "first"), TARGET)
    assert made
    container = engine.containers.run(engine.images.pull(made), detach=True, network_mode="none")
    container.wait()
    output = container.logs()
    container.remove(v=True)
    assert output == b"one"
    again = assembled(registry, below, overlay(engine, below, "one", "second"), TARGET)
    assert again == made, "the same content is the same image"
    assert assembled(registry, below, overlay(engine, below, "two"), TARGET) not in (None, made)
    layers = registry.manifests.read(TARGET, made.partition("@")[2])
    stack = registry.manifests.read("stackyard/python", "latest")
    assert layers
    assert stack
    assert layers.document["layers"][:-1] == stack.document["layers"]
    assert layers.config["config"]["Labels"]["revision"] == "first"


def test_below_must_be_there_and_be_what_the_node_has(
    registry: loopback_registry.LoopbackRegistry, engine: docker.DockerClient, below: str
) -> None:
    asked = overlay(engine, below, "three")
    assert assembled(registry, "", asked, TARGET) is None
    assert assembled(registry, below[:-4] + "0000", asked, TARGET) is None
    other = json.loads(json.dumps(asked.base))
    other["RootFS"]["Layers"][0] = "sha256:" + "0" * 64
    assert assembled(registry, below, Overlay(other, asked.layers, asked.config), TARGET) is None
