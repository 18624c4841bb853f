# SPDX-License-Identifier: Apache-2.0
"""Images made by third-party buildpacks: fetched by the platform, run on the tenant's node, one layer for each layer.

Called by `tenant`. The buildpacks run in the same workroom, under the same limits, as the steps of language packs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
import shlex
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, cast

from stackyard.drivers.builders import buildpack_launcher as launcher
from stackyard.drivers.builders import buildpack_orders, buildpacks, context, labels
from stackyard.drivers.builders.buildpack_orders import Group, Part
from stackyard.drivers.builders.buildpack_results import EMPTY, Result
from stackyard.drivers.builders.buildpacks import Buildpack
from stackyard.drivers.builders.executor import Executor
from stackyard.drivers.builders.images import Made
from stackyard.drivers.builders.layers import Layer, Overlay
from stackyard.drivers.builders.plans import APP, PORT, PROJECT, VOLUME, Step
from stackyard.drivers.builders.steps import VERSION, Shop, Work
from stackyard.drivers.builders.workroom import UID, USER
from stackyard.model import errors
from stackyard.model.buildpacks import Named, parse
from stackyard.model.ports import BuildRequest, Log

Checkout = Callable[[str, str, pathlib.Path, Log], str]
"""Writes the tree of a git URL's revision into an empty folder, and returns its commit; raises GiveUp."""

RUN, BUILD = "stackyard/buildpack", "stackyard/buildpack-build"
OUT = f"{VOLUME}/out"
MAX_BYTES = 256 * 1024**2
_RUNNER = pathlib.Path(__file__).with_name("buildpack_runner")
_RUN = f"""import sys
sys.path.append("{PROJECT}")
from buildpack_runner.main import main
sys.exit(main("{PROJECT}/buildpacks.json"))
"""
_KEY = "stackyard.build-key"
_STACK = {
    "STACK": "heroku-22",  # whose programs run here: Debian 12 has the libraries of Ubuntu 22.04, or newer ones
    "CNB_STACK_ID": "stackyard.buildpack-12",
    "CNB_TARGET_OS": "linux",
    "CNB_TARGET_DISTRO_NAME": "debian",
    "CNB_TARGET_DISTRO_VERSION": "12",
}
_NO_START = (
    "the buildpacks say nothing that starts the application: they named no process; add a Procfile with a line such as"
    " 'web: ./server', or a command in compose.yaml"
)


@dataclasses.dataclass(frozen=True)
class Fetched:
    """Buildpacks that lie in folders of the platform's, and the groups of them that are to be tried."""

    parts: Sequence[Part]
    trees: Sequence[context.Files]
    groups: Sequence[Group]

    @classmethod
    def of(cls, order: buildpack_orders.Order) -> Fetched:
        """Return an order with what its buildpacks consist of; raises BadInput for one that is too large."""
        listed = [context.everything(part.folder, MAX_BYTES, f"buildpack {part.named}") for part in order.parts]
        trees = [context.Files(part.folder, names) for part, names in zip(order.parts, listed, strict=True)]
        return cls(order.parts, trees, order.groups)


@dataclasses.dataclass(frozen=True)
class BuildpackExecutor:
    """Makes images by third-party buildpacks on one node."""

    executor: Executor
    checkout: Checkout

    def build(self, request: BuildRequest, log: Log) -> Made:
        """Return an image of the tree; raises GiveUp, BadInput with the buildpack's own words."""
        asked = request.service.build.buildpacks if request.service.build else ()
        with tempfile.TemporaryDirectory(prefix="stackyard-buildpacks-") as folder:

            def fetch(named: Named) -> Part:
                return self._fetch(named, pathlib.Path(tempfile.mkdtemp(dir=folder)), log)

            parts = [fetch(parse(text, "buildpacks")) for text in asked]
            fetched = Fetched.of(buildpack_orders.resolve(parts, fetch))
            for part in fetched.parts:
                for note in part.about.notes:
                    log(f"note: {note}\n")
            return self._made(request, fetched, log)

    def _fetch(self, named: Named, folder: pathlib.Path, log: Log) -> Part:
        commit = self.checkout(named.url, named.revision, folder, log)
        return Part(named, commit, buildpacks.read(folder, named), folder, folder)

    def _made(self, request: BuildRequest, fetched: Fetched, log: Log) -> Made:
        executor, folder = self.executor, pathlib.Path(request.folder)
        tree = context.Files(folder, context.files(folder))
        shop = Shop(executor.node, executor.images, executor.limits, executor.build_files, request, tree)
        base, workshop = executor.stack(RUN, log), executor.stack(BUILD, log)
        work = Work(shop, _step(request, fetched), workshop, base, beside=_beside(fetched))
        folders = request.service.build.folders if request.service.build else ()
        parts = [VERSION, work.key, launcher.script(EMPTY, []), list(folders)]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        known = executor.known(key)
        if known:
            log("The application is unchanged\n")
            return Made(known, base.mounts)
        with work.exported(log) as tar, contextlib.ExitStack() as stack:
            result = Result.read(tar, stack)
            image = Image(request, fetched, base, executor.images.inspected(base.id), key)
            return Made(image.add(executor, result, stack), base.mounts)


def _beside(fetched: Fetched) -> tuple[tuple[str, context.Files], ...]:
    return tuple((f"buildpack-{at}", tree) for at, tree in enumerate(fetched.trees))


def _step(request: BuildRequest, fetched: Fetched) -> Step:
    """Return what runs in the workroom; all that decides the result is in its files."""
    packs = [
        {
            "folder": f"{PROJECT}/buildpack-{at}",
            "kind": part.about.kind,
            "id": part.about.id,
            "clear_env": part.about.clear_env,
        }
        for at, part in enumerate(fetched.parts)
    ]
    asked = {
        "buildpacks": packs,
        "groups": fetched.groups,
        "commits": [[part.commit, str(part.folder.relative_to(part.root))] for part in fetched.parts],
        "environment": request.service.build.args if request.service.build else {},
        "stack": _STACK,
    }
    runner = {f"{_RUNNER.name}/{path.name}": path.read_text() for path in sorted(_RUNNER.glob("*.py"))}
    return Step(
        subject="the application",
        tool="buildpacks",
        # The buildpacks' layers are made in the container itself; their folder is the image's own.
        command=f'export CNB_TARGET_ARCH="$(dpkg --print-architecture)"\npython3 -I -c {shlex.quote(_RUN)}',
        stack=BUILD,
        files={**runner, "buildpacks.json": json.dumps(asked, sort_keys=True)},
        whole_tree=True,
        produces=(OUT,),
        verb="built",
    )


@dataclasses.dataclass(frozen=True)
class Image:
    """The image to be: who made it, on which base (`below`: as the engine has it)."""

    request: BuildRequest
    fetched: Fetched
    base: Made
    below: dict[str, Any]
    key: str

    def add(self, executor: Executor, result: Result, stack: contextlib.ExitStack) -> str:
        """Make the image and return its id; raises GiveUp where nothing tells how to start it."""
        try:
            found = launcher.processes(result.told)
            command = self.request.service.command
            if command is None and self.request.service.entrypoint is None and not found:
                raise errors.GiveUp(_NO_START)
            start = stack.enter_context(contextlib.closing(self._launcher(result.told, found)))
            theirs = [result.layers[str(each["file"])] for each in result.told["layers"]]
            app = result.layers["app.tar"]
            built_by = [self.fetched.parts[int(number)].about for number in result.told["built_by"]]
            told = {**self._labels(built_by, result.told, found, theirs, app), **_plain(result.told["labels"])}
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise errors.GiveUp(f"the buildpacks left no proper result: {error!r}") from error
        return Overlay(self.below, [*theirs, start, app], self._config(built_by), told).loaded(executor.node)

    def _launcher(self, told: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> Layer:
        """Return the layer with the launcher, a program for each process, and folders for volumes."""
        texts = {launcher.LAUNCHER: launcher.script(told, found)}
        for process in found:
            kind = str(process["type"])
            start = f'#!/bin/sh\n{launcher.TYPE}={kind} exec {launcher.LAUNCHER} "$@"\n'
            texts[f"/cnb/process/{kind}"] = start
        folders = self.request.service.build.folders if self.request.service.build else ()
        stream = cast(BinaryIO, io.BytesIO())
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in ("/cnb", "/cnb/process"):
                tar.addfile(_entry(name, tarfile.DIRTYPE, 0))
            for name in folders:
                tar.addfile(_entry(name, tarfile.DIRTYPE, UID))
            for name, text in texts.items():
                entry = _entry(name, tarfile.REGTYPE, 0)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        return Layer.of_tar(stream)

    def _config(self, built_by: Sequence[Buildpack]) -> dict[str, Any]:
        config: dict[str, Any] = self.below["Config"]
        inherited = dict(item.split("=", 1) for item in config.get("Env") or ())
        home = APP if any(about.kind == "heroku" for about in built_by) else f"/home/{USER}"
        environment = {**inherited, "PORT": str(PORT), "HOME": home}
        return {
            **config,
            "Entrypoint": ["/usr/bin/tini", "--", launcher.LAUNCHER],
            "Cmd": list(self.request.service.command) if self.request.service.command is not None else None,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "User": USER,
            "WorkingDir": APP,
            "Labels": {"stackyard.pack": "buildpacks", "stackyard.stack": f"{RUN}@{self.base.id}", _KEY: self.key},
        }

    def _labels(
        self,
        built_by: Sequence[Buildpack],
        told: Mapping[str, Any],
        found: Sequence[Mapping[str, Any]],
        theirs: Sequence[Layer],
        app: Layer,
    ) -> dict[str, str]:
        made = [self._contribution(about, told, found, theirs) for about in built_by]
        run = labels.RunImage.of(RUN, self.base.reference, self.below)
        return labels.labels(run, made, [app.digest], self.request.revision)

    def _contribution(
        self, about: Buildpack, told: Mapping[str, Any], found: Sequence[Mapping[str, Any]], theirs: Sequence[Layer]
    ) -> labels.Contribution:
        layers = {
            str(each["name"]): {
                "sha": layer.digest,
                **{flag: bool(each[flag]) for flag in ("launch", "build", "cache")},
            }
            for each, layer in zip(told["layers"], theirs, strict=True)
            if each["buildpack"] == about.id
        }
        own = [
            {key: value for key, value in process.items() if key != "buildpack"}
            for process in found
            if process.get("buildpack", about.id) == about.id
        ]
        return labels.Contribution(about.id, about.version, layers, own)


def _plain(found: Mapping[str, Any]) -> dict[str, str]:
    """Return labels that buildpacks ask for, but for those that are the platform's."""
    ours = ("io.buildpacks.", "stackyard.")
    return {str(name): str(value) for name, value in found.items() if not str(name).startswith(ours)}


def _entry(name: str, kind: bytes, owner: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name.strip("/"))
    entry.type, entry.mode = kind, 0o755
    entry.uid = entry.gid = owner
    return entry
