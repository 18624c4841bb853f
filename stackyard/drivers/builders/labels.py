# SPDX-License-Identifier: Apache-2.0
"""What an image tells about how it was made, in the labels of the Cloud Native Buildpacks platform specification.

Written by `executor` and `buildpack_images`, read by `registries.rebase`. Pure; the same content gives the same text.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

LIFECYCLE = "io.buildpacks.lifecycle.metadata"
BUILD = "io.buildpacks.build.metadata"
PROJECT = "io.buildpacks.project.metadata"
STACK_ID = "io.buildpacks.stack.id"
"""What a stack promises to programs built for it: images move only between stacks that promise the same."""
REBASABLE = "io.buildpacks.rebasable"


@dataclasses.dataclass(frozen=True)
class RunImage:
    """The stack below an image: its name, its reference by digest, the digest of its uppermost layer, its promise."""

    image: str
    reference: str
    top_layer: str
    stack_id: str

    @classmethod
    def of(cls, image: str, reference: str, inspected: Mapping[str, Any]) -> RunImage:
        """Return it for an image as the engine has it."""
        layers, labels = inspected["RootFS"]["Layers"], inspected["Config"].get("Labels") or {}
        return cls(image, reference, layers[-1], stack_id(image, labels))


@dataclasses.dataclass(frozen=True)
class Contribution:
    """What one buildpack (or language pack) made: layers by name, with their digest and flags; its processes."""

    id: str
    version: str
    layers: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    processes: Sequence[Mapping[str, Any]] = ()


def stack_id(image: str, labels: Mapping[str, str]) -> str:
    """Return what a stack promises; one that says nothing promises its name."""
    return labels.get(STACK_ID) or image.partition(":")[0].partition("@")[0]


def labels(run: RunImage, made: Sequence[Contribution], app: Sequence[str], revision: str) -> dict[str, str]:
    """Return the labels of an image; `app` are digests of the layers with the application's own files."""
    processes = [{**process, "buildpackID": each.id} for each in made for process in each.processes]
    told = {
        LIFECYCLE: {
            "app": [{"sha": digest} for digest in app],
            "buildpacks": [{"key": each.id, "version": each.version, "layers": each.layers} for each in made],
            "runImage": {"topLayer": run.top_layer, "reference": run.reference, "image": run.image},
            "stack": {"runImage": {"image": run.image}},
        },
        BUILD: {
            "buildpacks": [{"id": each.id, "version": each.version} for each in made],
            "processes": processes,
        },
        PROJECT: {"source": {"version": {"commit": revision}}} if revision else {},
    }
    plain = {name: json.dumps(value, sort_keys=True, separators=(",", ":")) for name, value in told.items()}
    return {**plain, STACK_ID: run.stack_id, REBASABLE: "true"}
