# SPDX-License-Identifier: Apache-2.0
"""The port `Builder`: source trees become images on the tenant's own node and in the platform's registry.

Called by the worker. Puts the files of this package together and does nothing itself.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping

from stackyard.drivers.builders import detect, engine_build, host, packs, references, tree_plans
from stackyard.drivers.builders.buildpack_images import BuildpackExecutor, Checkout
from stackyard.drivers.builders.deadlines import Deadline
from stackyard.drivers.builders.engine import BuildNode, Connect
from stackyard.drivers.builders.executor import Executor, Stacks
from stackyard.drivers.builders.images import Images, Lender, Made
from stackyard.drivers.builders.limits import Limits
from stackyard.drivers.builders.plans import Plan
from stackyard.drivers.builders.tree_plans import TreePlan
from stackyard.drivers.builders.trees import Tree
from stackyard.drivers.engines import connection
from stackyard.model import errors
from stackyard.model.applications import AppSpec
from stackyard.model.ports import BuildRequest, Log, NodeAccess, Registry

RESOLVE_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Supplies:
    """What the platform gives to builds.

    `stacks` has a language stack, or another image of the platform's own, made that the registry lacks; without it
    that is an error naming the cure.
    `checkout` fetches third-party buildpacks; `host_images` lends images of the platform's own Engine.
    """

    stacks: Stacks | None = None
    checkout: Checkout | None = None
    host_images: Lender | None = None


class TenantBuilder:
    """Builds on tenants' nodes; `build_files` (None: this host's) are given to builds and kept in no image."""

    def __init__(
        self,
        registry: Registry,
        build_files: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        connect: Connect = connection.connect,
        supplies: Supplies | None = None,
    ) -> None:
        self._registry = registry
        self._build_files = host.build_files() if build_files is None else build_files
        self._limits = limits or Limits()
        self._connect = connect
        self._supplies = supplies or Supplies()

    def detect(self, folder: str, buildpacks: tuple[str, ...] = ()) -> AppSpec:
        """Return what the tree asks for, built by the buildpacks chosen for it; raises BadInput."""
        return detect.detect(pathlib.Path(folder), buildpacks)

    def plan(self, folder: str) -> TreePlan:
        """Return what a push of the tree would do and why, running nothing; raises BadInput."""
        return tree_plans.plan(pathlib.Path(folder))

    def _plan(self, folder: str) -> Plan:
        plan = packs.plan(Tree(pathlib.Path(folder)))
        if plan is None:
            raise errors.BadInput(f"no language pack is for {folder!r}")
        return plan

    def build(self, request: BuildRequest, log: Log) -> str:
        """Build and publish; return the image by digest; raises GiveUp with the output's end."""
        spec = request.service.build
        if spec is None:
            raise errors.BadInput(f"service {request.service.name!r} has nothing to build")
        node = BuildNode(request.node, Deadline(self._limits.seconds, request.unwanted), self._connect)
        images = Images(node, self._registry, request.project_id, self._supplies.host_images)
        executor = Executor(node, images, self._limits, self._build_files, self._supplies.stacks)
        if spec.dockerfile:
            made = engine_build.build(node, images, pathlib.Path(request.folder), spec, self._limits, log)
        elif spec.buildpacks:
            made = self._with_buildpacks(executor, request, log)
        else:
            made = executor.build(request, self._plan(request.folder), log)
        started = time.monotonic()
        reference = images.publish(made.id, request.repository, request.tag, made.mounts) if made.id else made.reference
        log(f"Published {reference} ({time.monotonic() - started:.1f} s)\n")
        return reference

    def _with_buildpacks(self, executor: Executor, request: BuildRequest, log: Log) -> Made:
        if self._supplies.checkout is None:
            raise errors.BadInput("this platform fetches no buildpacks; use a language pack or a Dockerfile")
        return BuildpackExecutor(executor, self._supplies.checkout).build(request, log)

    def resolve(self, node: NodeAccess, image: str, project_id: str, log: Log) -> str:
        """Return the image by digest, so that all nodes run the same; raises GiveUp when no one has it."""
        self._have_made(image, log)
        on = BuildNode(node, Deadline(RESOLVE_SECONDS), self._connect)
        return Images(on, self._registry, project_id, self._supplies.host_images).resolve(image)

    def newest(self, image: str) -> str | None:
        """Return the newest digest of an image of the platform's own; None where it is another's, or not made yet."""
        name = references.own(references.parse(image), self._registry.address())
        return self._registry.digest(f"stackyard/{name}", references.LATEST) if name else None

    def _have_made(self, image: str, log: Log) -> None:
        """Have an image of the platform's own (`stackyard/NAME`) made that its registry lacks."""
        name = references.own(references.parse(image), self._registry.address())
        if name and self._supplies.stacks and not self.newest(image):
            self._supplies.stacks(name, log)
