# SPDX-License-Identifier: Apache-2.0
"""What a push of a whole tree would do: its services, and how the image of each is made. Called by `tenant`.

The same detectors as of a real push; nothing is run and no engine is asked.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from stackyard.drivers.builders import detect, dockerfile, packs
from stackyard.drivers.builders.plans import Plan
from stackyard.drivers.builders.trees import Tree
from stackyard.model.applications import AppSpec, BuildSpec, Service
from stackyard.model.buildpacks import shown


@dataclasses.dataclass(frozen=True)
class Dockerfile:
    """A build by the engine itself: `images` must be there before it."""

    path: str
    images: tuple[str, ...]
    target: str | None
    args: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Buildpacks:
    """A build by third-party buildpacks in this order; what they will do, only they know."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class TreePlan:
    """The services of a tree in dependency order; `made` says by name how each gets its image (None: it has one)."""

    spec: AppSpec
    made: dict[str, Plan | Dockerfile | Buildpacks | None]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        services = [_service(service, self.made[service.name]) for service in self.spec.services]
        return {"services": services, "volumes": list(self.spec.volumes), "notes": list(self.spec.notes)}


def plan(folder: pathlib.Path) -> TreePlan:
    """Return the plan of a tree; raises BadInput."""
    spec = detect.detect(folder)
    return TreePlan(
        spec, {service.name: _made(folder, service.build) if service.build else None for service in spec.services}
    )


def _made(folder: pathlib.Path, build: BuildSpec) -> Plan | Dockerfile | Buildpacks | None:
    context = Tree(folder / build.context)
    if build.buildpacks:
        return Buildpacks(shown(build.buildpacks))
    if build.dockerfile is None:
        return packs.plan(context)
    read = dockerfile.parse(context.text(build.dockerfile), build.args, build.target)
    return Dockerfile(build.dockerfile, read.images, build.target, build.args)


def _service(service: Service, made: Plan | Dockerfile | Buildpacks | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": service.name,
        "image": service.image,
        "context": service.build.context if service.build else None,
        "command": list(service.command) if service.command is not None else None,
        "port": service.port,
        "replicas": service.replicas,
        "pack": made.as_dict() if isinstance(made, Plan) else None,
        "buildpacks": list(made.names) if isinstance(made, Buildpacks) else [],
        "dockerfile": dataclasses.asdict(made) if isinstance(made, Dockerfile) else None,
    }
    return shown
