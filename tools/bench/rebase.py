# SPDX-License-Identifier: Apache-2.0
"""Fifty applications moved to a patched stack in the platform's own registry: all their manifests, none of the layers.

The images are small but real: the Python stack of this platform with a layer of each application's own.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import time
from typing import Any

from stackyard.drivers.builders import labels
from stackyard.drivers.registries.distribution import DistributionRegistry
from stackyard.drivers.registries.manifests import Manifest, Manifests
from stackyard.drivers.registries.rebase import RegistryRebase
from tools.bench.figure import Figure
from tools.bench.platform import INSTANCE, Platform

APPS = 50
STACK = "stackyard/python"


def measure(platform: Platform) -> list[Figure]:
    registry = DistributionRegistry(platform.engine, INSTANCE, platform.state, platform.ports["registry"])
    note = "their manifests; wanted: below 10 s"
    return [Figure(f"rebase of {APPS} applications", "s", [rebased(registry)], [], note)]


def rebased(registry: DistributionRegistry) -> float:
    """Publish the images, patch the stack, and return the seconds that moving all of them took."""
    manifests = registry.manifests
    stack = manifests.read(STACK, "latest")
    assert stack is not None, "the platform has no Python stack yet: measure push before"
    names = [f"sybench/rebase-{number}/web" for number in range(APPS)]
    published = [f"{registry.address()}/{name}@{_publish(manifests, name, stack)}" for name in names]
    _add_layer(manifests, STACK, "latest", stack, "patched", {})
    try:
        rebaser = RegistryRebase(registry.manifests, registry.address())
        began = time.monotonic()
        moved = [rebaser.rebase(image) for image in published]
        seconds = time.monotonic() - began
        assert all(each.image != image for each, image in zip(moved, published, strict=True))
    finally:
        manifests.write(STACK, "latest", stack.document, stack.config)
        registry.delete("sybench/rebase-")
    return seconds


def _publish(manifests: Manifests, name: str, stack: Manifest) -> str:
    for layer in stack.document["layers"]:
        manifests.mount(name, layer["digest"], STACK)
    run = labels.RunImage(STACK, f"{STACK}@{stack.digest}", stack.diff_ids[-1], labels.stack_id(STACK, _labels(stack)))
    return _add_layer(manifests, name, "build-1", stack, name, labels.labels(run, [], [], ""))


def _add_layer(manifests: Manifests, name: str, tag: str, below: Manifest, text: str, told: dict[str, str]) -> str:
    """Publish an image with one small layer more."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("app/name")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    content = gzip.compress(stream.getvalue(), mtime=0)
    kind = below.document["layers"][-1]["mediaType"]
    layer = {"mediaType": kind, "size": len(content), "digest": manifests.put(name, content)}
    diff_id = f"sha256:{hashlib.sha256(stream.getvalue()).hexdigest()}"
    config: dict[str, Any] = {
        **below.config,
        "config": {**below.config["config"], "Labels": {**_labels(below), **told}},
        "rootfs": {"type": "layers", "diff_ids": [*below.diff_ids, diff_id]},
    }
    return manifests.write(name, tag, {**below.document, "layers": [*below.document["layers"], layer]}, config)


def _labels(image: Manifest) -> dict[str, str]:
    return image.config["config"].get("Labels") or {}
