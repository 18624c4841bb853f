# SPDX-License-Identifier: Apache-2.0
"""Images of the platform's own Engine, lent to a project through a real registry; the others stay unknown."""

from __future__ import annotations

import contextlib
import io
import pathlib
import tarfile
from collections.abc import Iterator

import builders_rig
import docker
import docker.errors
import loopback_registry
import pytest
from builders_rig import NODE, PROJECT, Bench, client

from stackyard.conf import HOST_IMAGES
from stackyard.drivers.registries.host_images import HostImages
from stackyard.model import errors

pytestmark = pytest.mark.engine

APP = "sytestb6-0000"
NAME = "sytest-builders-lent:1"


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    found = client()
    found.api.import_image_from_data(_tar(), repository=NAME.partition(":")[0], tag="1")
    yield found
    with contextlib.suppress(docker.errors.ImageNotFound):
        found.api.remove_image(NAME, force=True)


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("lent"), io.BytesIO())
    return stream.getvalue()


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    with builders_rig.registry(engine, "sytest-builders-lent-registry", APP) as running:
        yield running


def bench(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry, *allowed: str) -> Bench:
    engine = client()
    port = int(registry.address().rpartition(":")[2])
    return Bench(tmp_path, registry, engine, APP, lender=HostImages(lambda: engine, registry, port, allowed))


def test_an_allowed_image_is_copied_once(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> None:
    made = bench(tmp_path, registry, "sytest-builders-*")
    log: list[str] = []
    assert made.lender
    lent = made.lender.lend(NAME, PROJECT, log.append)
    assert lent == (
        f"{PROJECT}/host/sytest-builders-lent",
        registry.digest(f"{PROJECT}/host/sytest-builders-lent", "1"),
    )
    assert made.lender.lend(NAME, PROJECT, log.append) == lent
    assert log == [f"Copying {NAME} from the platform's own Engine into the registry\n"]
    image = made.builder().resolve(NODE, NAME, PROJECT, print)
    assert image == f"{registry.address()}/{lent[0]}@{lent[1]}"


def test_another_one_is_not_even_looked_for(
    tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry
) -> None:
    made = bench(tmp_path, registry, "debian:*")
    words = (
        r"(?s)asked: the platform's registry \(library/sytest-builders-lent\), then the images of the platform's own"
    )
    with pytest.raises(errors.GiveUp, match=words):
        made.builder().resolve(NODE, NAME, PROJECT, print)
    absent = bench(tmp_path, registry, "*")
    with pytest.raises(errors.GiveUp, match=r"then the public one \("):
        absent.builder().resolve(NODE, "sytest-builders-absent:1", PROJECT, print)


def test_what_is_allowed_by_default() -> None:
    lender = HostImages(client, loopback_registry.LoopbackRegistry(1), 1, [f"{name}:*" for name in HOST_IMAGES])
    for name in ("shop:latest", "team/debian:12", "registry.example/debian:12", "stackyard/python:latest"):
        assert lender.lend(name, PROJECT, lambda _: None) is None
