# SPDX-License-Identifier: Apache-2.0
"""Any language pack's plan carried out on the tenant's node: what is installed below, the application's files on top.

Called by `tenant`. What the host gives to builds (CA bundle, registry settings) is in a volume that no image contains.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackyard.drivers.builders import context, labels
from stackyard.drivers.builders.engine import BuildNode
from stackyard.drivers.builders.images import Images, Made
from stackyard.drivers.builders.layers import Layer, Overlay, assembled
from stackyard.drivers.builders.limits import Limits
from stackyard.drivers.builders.plans import APP, PORT, Plan
from stackyard.drivers.builders.steps import VERSION, Shop, Work
from stackyard.drivers.builders.workroom import UID, USER
from stackyard.model.ports import BuildRequest, Log

Stacks = Callable[[str, Log], None]
"""Takes the name of a language stack (`nodejs`) that is not there, and has it made under `stackyard/<name>`."""
_KEY = "stackyard.build-key"


@dataclasses.dataclass(frozen=True)
class Bench:
    """One plan under way: the stack, the image with what was installed on it, the configuration to be."""

    shop: Shop
    plan: Plan
    base: Made
    below: Made
    config: dict[str, Any]

    def labels(self, base: dict[str, Any], below: dict[str, Any], laid: Sequence[Layer]) -> dict[str, str]:
        """Return what the image tells of its making."""
        plan, runtime = self.plan, self.plan.runtime
        run = labels.RunImage.of(plan.run_stack, self.base.reference, base)
        installed = below["RootFS"]["Layers"][len(base["RootFS"]["Layers"]) :]
        flags = {"build": False, "launch": True, "cache": True}
        layers = {f"dependencies-{number}": {"sha": sha, **flags} for number, sha in enumerate(installed)}
        processes = [{"type": each.name, "command": ["/bin/sh", "-c", each.command]} for each in plan.processes]
        made = labels.Contribution(f"stackyard/{plan.pack}", runtime.version, layers, processes)
        return labels.labels(run, [made], [layer.digest for layer in laid], self.shop.request.revision)


@dataclasses.dataclass(frozen=True)
class Executor:
    """Makes images of source trees on one node."""

    node: BuildNode
    images: Images
    limits: Limits
    build_files: Mapping[str, str] = dataclasses.field(repr=False)
    stacks: Stacks | None = None

    def build(self, request: BuildRequest, plan: Plan, log: Log) -> Made:
        """Return an image of the tree; raises GiveUp with the failing tool's own words."""
        folder = pathlib.Path(request.folder)
        tree = context.Files(folder, context.files(folder, ignores=plan.ignores))
        shop = Shop(self.node, self.images, self.limits, self.build_files, request, tree)
        base = self.stack(plan.run_stack, log)
        below = self._installed(shop, plan, base, log)
        config = self._config(request, plan, base.id)
        bench = Bench(shop, plan, base, below, config)
        if plan.build:
            return self._built(bench, log)
        log("Adding the application's files\n")
        return self._laid(bench, [], tree)

    def _installed(self, shop: Shop, plan: Plan, base: Made, log: Log) -> Made:
        """Return the image with what the application needs to run."""
        if plan.install is None:
            return base
        stack = base if plan.install.stack == plan.run_stack else self.stack(plan.install.stack, log)
        compiler = plan.install.compiler
        return Work(
            shop, plan.install, stack, base, functools.partial(self.stack, compiler, log) if compiler else None
        ).image(log)

    def _built(self, bench: Bench, log: Log) -> Made:
        """Return the image with what the build produced, made before of this very tree or now."""
        shop, plan, below, config = bench.shop, bench.plan, bench.below, bench.config
        assert plan.build is not None
        stack = self._workshop(shop, plan, below, log)
        work = Work(shop, plan.build, stack, below)
        key = hashlib.sha256(json.dumps([VERSION, work.key, config, plan.tree], sort_keys=True).encode()).hexdigest()
        known = self.known(key)
        if known:
            log(f"{plan.build.subject[:1].upper()}{plan.build.subject[1:]} is unchanged\n")
            return Made(known, below.mounts)
        log(f"Building {plan.build.subject}\n")
        with contextlib.closing(work.layer(log)) as produced:
            files = dataclasses.replace(shop.tree, names=shop.tree.names if plan.tree else [])
            keyed = dataclasses.replace(bench, config={**config, "Labels": {**config["Labels"], _KEY: key}})
            return self._laid(keyed, [produced], files)

    def _workshop(self, shop: Shop, plan: Plan, below: Made, log: Log) -> Made:
        """Return the image in which the build runs: with its own tools, else what the application runs on."""
        assert plan.build is not None
        if plan.tools:
            stack = self.stack(plan.tools.stack, log)
            return Work(shop, plan.tools, stack, stack).image(log, publish=False)
        return below if plan.build.stack == plan.run_stack else self.stack(plan.build.stack, log)

    def known(self, key: str) -> str | None:
        """Return the image that was made under this key, if the node has it."""
        with self.node.errors():
            found = self.node.api.images(filters={"label": f"{_KEY}={key}"})
        return str(found[0]["Id"]) if found else None

    def _laid(self, bench: Bench, produced: list[Layer], files: context.Files) -> Made:
        """Return the image with files on top, written in the registry; on the node where that lacks what is below."""
        request = bench.shop.request
        folders = request.service.build.folders if request.service.build else ()
        below = self.images.inspected(bench.below.id)
        with contextlib.closing(Layer.of_tree(files, UID, folders)) as layer:
            told = bench.labels(self.images.inspected(bench.base.id), below, [layer, *produced])
            overlay = Overlay(below, [layer, *produced], bench.config, told)
            reference = assembled(self.images.registry, bench.below.reference, overlay, request.repository)
            if reference:
                return Made("", reference=reference)
            return Made(overlay.loaded(self.node), bench.below.mounts)

    def stack(self, image: str, log: Log) -> Made:
        """Bring a language stack to the node; the first that needs it has it made."""
        if self.stacks and not self.images.has(image):
            self.stacks(image.rpartition("/")[2], log)
        return self.images.ensure(image, log)

    def _config(self, request: BuildRequest, plan: Plan, base: str) -> dict[str, Any]:
        """Return the image's configuration: the base's, with a command, variables and what it was made by."""
        config: dict[str, Any] = self.images.inspected(base)["Config"]
        inherited = dict(item.split("=", 1) for item in config.get("Env") or ())
        environment = {**inherited, "PORT": str(PORT), "HOME": f"/home/{USER}", **plan.environment}
        command = list(request.service.command) if request.service.command is not None else config.get("Cmd")
        return {
            **config,
            "Cmd": command,
            "Env": [f"{name}={value}" for name, value in environment.items()],
            "User": USER,
            "WorkingDir": APP,
            "Labels": {
                "stackyard.pack": plan.pack,
                "stackyard.runtime": f"{plan.runtime.name} {plan.runtime.version}",
                "stackyard.stack": f"{plan.run_stack}@{base}",
            },
        }
