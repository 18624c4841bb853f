# SPDX-License-Identifier: Apache-2.0
"""What tests of builders share: an application's folder, built on the Engine against a real registry."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import docker
import docker.errors
import loopback_registry
import requests

from stackyard.drivers.builders import Limits, Supplies, TenantBuilder
from stackyard.drivers.builders.host import build_files
from stackyard.drivers.builders.images import Lender
from stackyard.drivers.sources.archives import SourceFolder
from stackyard.local import images
from stackyard.model.applications import BuildSpec, Service
from stackyard.model.ports import BuildRequest, Log, NodeAccess, TLSPair

NODE = NodeAccess("local", "127.0.0.1", "master", TLSPair("", "", ""))
PROJECT = "sytest-builders"
MARKER = "this-index-setting-must-not-stay.example"


def client() -> docker.DockerClient:
    return docker.from_env(version="1.41", timeout=600)  # a first push of a stack may be silent for minutes


@contextlib.contextmanager
def registry(engine: docker.DockerClient, name: str, app: str) -> Iterator[loopback_registry.LoopbackRegistry]:
    """Run a registry that holds the Python base, and the same under a plain public name."""
    made = images.build(engine, ["registry", "python"], lambda *_: None)
    with loopback_registry.running(engine, made["registry"], name) as running:
        for image in ("stackyard/python:latest", "library/sytest-builders-from:1"):
            repository, _, tag = f"{running.address()}/{image}".rpartition(":")
            engine.api.tag(made["python"], repository, tag)
            assert "error" not in engine.api.push(repository, tag)
        yield running
        forget(engine, running.address(), app)


def forget(engine: docker.DockerClient, address: str, app: str) -> None:
    """Remove what the tests made on the Engine, by every name that it has."""
    for image in engine.api.images():
        names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
        made = any(name.startswith(f"{address}/") for name in names)
        for name in names:
            ours = name.startswith((f"{address}/", "sytest-builders-from:"))
            ours = ours or (made and name.startswith("stackyard-made:"))
            if ours or (name.startswith("stackyard-deps:") and (image["Labels"] or {}).get("stackyard.build") == app):
                with contextlib.suppress(docker.errors.ImageNotFound):  # a digest goes with the last tag
                    engine.api.remove_image(name, force=True)
    with contextlib.suppress(docker.errors.NotFound):
        engine.api.remove_volume(f"stackyard-cache-{app}")


@dataclasses.dataclass
class Bench:
    """One application's folder and what builds of it said."""

    folder: pathlib.Path
    registry: loopback_registry.LoopbackRegistry
    engine: docker.DockerClient
    app: str
    log: list[str] = dataclasses.field(default_factory=list)
    number: int = 0
    revision: str = ""
    lender: Lender | None = None
    unwanted: Callable[[], bool] = lambda: False

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name.replace("__", "/").replace("_", ".")).write_text(text)

    def builder(self, limits: Limits | None = None) -> TenantBuilder:
        files = build_files()
        files["pip.conf"] += f"# {MARKER}\n"
        return TenantBuilder(
            self.registry,
            files,
            limits,
            lambda _node, _seconds: self.engine,
            Supplies(self._stack, self._checkout, self.lender),
        )

    def _checkout(self, url: str, revision: str, folder: pathlib.Path, log: Log) -> str:
        with tempfile.TemporaryDirectory() as sources:
            return SourceFolder(pathlib.Path(sources)).checkout(url, revision, folder, log)

    def _stack(self, name: str, log: Log) -> None:
        log(f"The language stack {name} is being made: first use\n")
        images.build(self.engine, [name], lambda *_: None)

    def build(self, service: Service | None = None, limits: Limits | None = None) -> str:
        self.number += 1
        self.log.clear()
        service = service or Service("web", build=BuildSpec())
        tag = f"build-{self.number}"
        request = BuildRequest(
            NODE, str(self.folder), service, self.repository(), tag, PROJECT, self.app, self.revision, self.unwanted
        )
        made = self.builder(limits).build(request, self.log.append)
        self.engine.images.pull(made)  # as the node does that runs it
        return made

    def push(self) -> str:
        """Detect and build the first service."""
        return self.build(self.builder().detect(str(self.folder)).services[0])

    def repository(self) -> str:
        return f"{PROJECT}/{self.folder.name}/web".lower()

    def said(self) -> str:
        return "".join(self.log)

    def run(self, image: str, *command: str) -> str:
        output: bytes = self.engine.containers.run(image, list(command) or None, remove=True, network_mode="none")
        return output.decode()

    @contextlib.contextmanager
    def serving(self, image: str) -> Iterator[str]:
        """Run an image as a service would; yield its URL once it answers."""
        container = self.engine.containers.run(
            image, detach=True, name="sytest-builders-serving", ports={"8000/tcp": ("127.0.0.1", None)}
        )
        try:
            container.reload()
            url = f"http://127.0.0.1:{container.ports['8000/tcp'][0]['HostPort']}"
            end = time.monotonic() + 30
            while not _answers(url):
                container.reload()
                assert container.status == "running", container.logs().decode()
                assert time.monotonic() < end, container.logs().decode()
                time.sleep(0.05)
            yield url
        finally:
            container.remove(force=True, v=True)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code > 0
    except requests.ConnectionError:
        return False
