# SPDX-License-Identifier: Apache-2.0
"""The Python language pack: dependencies installed once per lock file, the application's files laid on top.

Called by `tenant`. What the host gives to builds (CA bundle, pip settings) is in a volume that no image contains.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
import tarfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import docker.errors
import docker.types

from stackyard.drivers.builders import context, host, python_project
from stackyard.drivers.builders.engine import BuildNode
from stackyard.drivers.builders.engine_build import Limits
from stackyard.drivers.builders.images import Images, Made
from stackyard.drivers.builders.layers import Layer, add_layer
from stackyard.drivers.builders.output import Output
from stackyard.drivers.builders.python_project import Requirements
from stackyard.model import errors
from stackyard.model.ports import BuildRequest, Log

BASE = "stackyard/python"
VERSION = 2  # part of the key of dependencies: raise it when they are to be installed anew
USER, UID = "app", 1000  # as images/python has them
_VOLUME = "/run/stackyard-build"
_NO_COMPILER = (
    "command 'gcc' failed",
    "No such file or directory: 'gcc'",
    "command 'x86_64-linux-gnu-gcc' failed",
    "cc: not found",
)
_ENVIRONMENT = {"PYTHONPATH": "/app:/app/src", "PORT": "8000", "HOME": "/home/app"}


@dataclasses.dataclass(frozen=True)
class PythonPack:
    """Makes images of Python source trees on one node."""

    node: BuildNode
    images: Images
    limits: Limits
    build_files: Mapping[str, str] = dataclasses.field(repr=False)

    def build(self, request: BuildRequest, log: Log) -> Made:
        """Return an image of the tree; raises GiveUp with pip's own words."""
        folder = pathlib.Path(request.folder)
        asked = python_project.requirements(folder)
        base = self.images.ensure(BASE, log)
        below = _Dependencies(self, request, asked, base).image(log) if asked.files else base
        log("Adding the application's files\n")
        folders = request.service.build.folders if request.service.build else ()
        with contextlib.closing(Layer(folder, UID, folders)) as layer:
            image = add_layer(self.node, self._inspected(below.id), layer, self._config(request, base.id))
        return Made(image, below.mounts)

    def _config(self, request: BuildRequest, base: str) -> dict[str, Any]:
        """Return the image's configuration: the base's, with a command and variables."""
        config: dict[str, Any] = self._inspected(base)["Config"]
        inherited = dict(item.split("=", 1) for item in config.get("Env") or ())
        environment = {**inherited, "PYTHONUNBUFFERED": "1", **_ENVIRONMENT}
        command = list(request.service.command) if request.service.command is not None else ["python3"]
        env = [f"{name}={value}" for name, value in environment.items()]
        return {**config, "Cmd": command, "Env": env, "User": USER, "WorkingDir": "/app"}

    def _inspected(self, image: str) -> dict[str, Any]:
        found = self.node.inspect(image)
        if found is None:
            raise errors.Unavailable(f"image {image} vanished from {self.node.name} while it was being used")
        return found


class _Dependencies:
    """The image with what the lock files ask for: on the node, in the registry, or to be made."""

    def __init__(self, pack: PythonPack, request: BuildRequest, asked: Requirements, base: Made) -> None:
        self.pack = pack
        self.node = pack.node
        self.request = request
        self.asked = asked
        self.base = base
        self.folder = pathlib.Path(request.folder)
        self.tree = context.files(self.folder) if asked.whole_tree else []
        self.key = self._key()
        self.name = f"stackyard-deps-{request.app_id[:8]}-{self.key[:16]}"
        self.tag = f"stackyard-deps:{self.key}"
        self.repository = f"{request.repository}-deps"

    def image(self, log: Log) -> Made:
        """Return the image, published."""
        mounts = (self.repository, *self.base.mounts)
        return Made(self._found(log) or self._made(log), mounts)

    def _found(self, log: Log) -> str | None:
        here = self.node.inspect(self.tag)
        if here:
            log(f"Dependencies of {self.asked.found_in} are unchanged\n")
            return str(here["Id"])
        digest = self.pack.images.registry.digest(self.repository, self.key)
        if digest:
            log(f"Fetching the dependencies of {self.asked.found_in}\n")
            return self._tagged(self.pack.images.pull(self.repository, digest))
        return None

    def _made(self, log: Log) -> str:
        log(f"Installing the dependencies of {self.asked.found_in}\n")
        image = self._install(log)
        self.pack.images.publish(image, self.repository, self.key, self.base.mounts)
        return self._tagged(image)

    def _key(self) -> str:
        whole = context.digest(self.folder, self.tree) if self.asked.whole_tree else ""
        parts = [VERSION, self.base.id, self.asked.files, self.asked.constraints, whole]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]

    def _tagged(self, image: str) -> str:
        with self.node.errors():
            self.node.api.tag(image, "stackyard-deps", self.key)
        return image

    def _install(self, log: Log) -> str:
        with self._container() as container, self.node.errors():
            self._fill(container)
            output = Output(log, self.pack.limits.output)
            status = self._run(container, output)
            if status:
                raise errors.GiveUp(_failure(status, self.asked.found_in, output))
            return str(self.node.patient.commit(container, changes=self._changes())["Id"])

    def _changes(self) -> list[str]:
        """Give the image the base's command again: the container ran pip."""
        config = (self.node.inspect(self.base.id) or {}).get("Config") or {}
        words = {"ENTRYPOINT": config.get("Entrypoint") or [], "CMD": config.get("Cmd") or []}
        return [
            f"LABEL stackyard.dependencies={self.key}",
            *(f"{key} {json.dumps(value)}" for key, value in words.items()),
        ]

    @contextlib.contextmanager
    def _container(self) -> Iterator[str]:
        """Yield a fresh container; what a killed attempt left under its name goes first."""
        self._remove()
        host_config = self.node.api.create_host_config(
            mounts=[docker.types.Mount(_VOLUME, None, type="volume")],
            mem_limit=self.pack.limits.memory_bytes,
            memswap_limit=self.pack.limits.memory_bytes,
            nano_cpus=int(self.pack.limits.cpus * 1e9),
            security_opt=["no-new-privileges"],
        )
        with self.node.errors():
            made = self.node.api.create_container(
                self.base.id,
                entrypoint=["/bin/sh", "-c"],
                command=[self._script()],
                user=USER,
                name=self.name,
                labels={"stackyard.build": self.request.app_id},
                host_config=host_config,
            )
        try:
            yield made["Id"]
        finally:
            self._remove()

    def _remove(self) -> None:
        with self.node.errors(), contextlib.suppress(docker.errors.NotFound):
            self.node.api.remove_container(self.name, v=True, force=True)

    def _script(self) -> str:
        """Return what runs in the container; values come from files, so that no image's history tells them."""
        where = "/app" if self.asked.whole_tree else f"{_VOLUME}/project"
        first = next(iter(self.asked.files))
        constraints = f" -c {_VOLUME}/constraints.txt" if self.asked.constraints else ""
        requirement = f"{_VOLUME}/project/{first}" if self.asked.whole_tree else first
        return (
            f"cd {where}; b={_VOLUME}/host; export PIP_CONFIG_FILE=$b/{host.PIP_FILE};"
            f" if [ -s $b/{host.CA_FILE} ]; then export PIP_CERT=$b/{host.CA_FILE} SSL_CERT_FILE=$b/{host.CA_FILE}"
            f" REQUESTS_CA_BUNDLE=$b/{host.CA_FILE}; fi;"
            " pip install --no-input --no-cache-dir --no-compile --disable-pip-version-check --progress-bar off"
            f" --root-user-action ignore -r {requirement}{constraints}"
            # Each start would compile everything anew otherwise. Unchecked: a layer keeps times only to the second.
            " && exec python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib"
        )

    def _fill(self, container: str) -> None:
        files = {f"host/{name}": text for name, text in self.pack.build_files.items()}
        files |= {f"project/{name}": text for name, text in self.asked.files.items()}
        files["constraints.txt"] = self.asked.constraints
        self.node.api.put_archive(container, _VOLUME, _tar(files))
        if self.tree:
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as tar:
                context.add(tar, self.folder, self.tree, owner=UID)
            self.node.api.put_archive(container, "/app", stream.getvalue())

    def _run(self, container: str, output: Output) -> int:
        """Run the container to its end and return its exit status; the deadline kills it."""
        timer = threading.Timer(self.node.deadline.left(), self._kill, [container])
        timer.daemon = True
        api = self.node.patient
        api.start(container)
        timer.start()
        try:
            for piece in api.logs(container, stream=True, follow=True):
                output.write(piece.decode("utf-8", "replace"))
            output.finish()
            status = int(api.wait(container)["StatusCode"])
        finally:
            timer.cancel()
        if self.node.deadline.passed:
            raise self.node.deadline.error()
        return status

    def _kill(self, container: str) -> None:
        with contextlib.suppress(errors.StackyardError, docker.errors.APIError):
            self.node.api.kill(container)


def _failure(status: int, found_in: str, output: Output) -> str:
    cause = "; it ran out of memory" if status == 137 else ""
    if any(word in output.tail() for word in _NO_COMPILER):
        cause = (
            "; a package comes as source and there is no compiler: ask for a version with a wheel, or add a Dockerfile"
        )
    reason = f"the dependencies of {found_in} can't be installed (pip ended with {status}{cause})"
    return f"{reason}\nIts output ends:\n{output.tail()}"


def _tar(files: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
