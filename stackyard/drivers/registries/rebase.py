# SPDX-License-Identifier: Apache-2.0
"""Images moved to newer stacks by writing new manifests: the layers of the stack are exchanged, the others stay.

The port `Rebaser`, called by the worker. No node has a part in it, and no layer is sent anywhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from stackyard.drivers.builders import labels
from stackyard.drivers.registries.manifests import Manifest, Manifests
from stackyard.model import errors
from stackyard.model.ports import Rebased

NEWEST = "latest"


class RegistryRebase:
    """Rebases images of one registry, which nodes know as `address`."""

    def __init__(self, manifests: Manifests, address: str) -> None:
        self._manifests = manifests
        self._address = address

    def rebase(self, image: str) -> Rebased:
        """Return the image (by digest) on the newest of its stack; raises GiveUp saying why that can't be."""
        repository, digest = self._parts(image)
        old = self._manifests.read(repository, digest)
        if old is None:
            raise errors.GiveUp(f"image {image} is no longer in the platform's registry; push the application again")
        told, count = _below(image, old)
        run = str(told["runImage"]["image"])
        new = self._manifests.read(run, NEWEST)
        if new is None:
            raise errors.GiveUp(
                f"the platform's registry has no {run} to rebase on; 'stackyard up' brings stacks there"
            )
        _check_promise(run, old, new)
        if old.diff_ids[:count] == new.diff_ids:
            return Rebased(image, f"{run}@{new.digest}")
        moved = self._moved(repository, old, run, new, count)
        return Rebased(f"{self._address}/{repository}@{moved}", f"{run}@{new.digest}")

    def _parts(self, image: str) -> tuple[str, str]:
        name, _, digest = image.partition("@")
        host, _, repository = name.partition("/")
        if host != self._address or not digest:
            raise errors.GiveUp(f"image {image} is not of the platform's own registry, so it has no stack of ours")
        return repository, digest

    def _moved(self, repository: str, old: Manifest, run: str, new: Manifest, count: int) -> str:
        layers = new.document["layers"]
        there = {layer["digest"] for layer in old.document["layers"]}
        for layer in layers:
            if layer["digest"] not in there and not self._manifests.mount(repository, layer["digest"], run):
                raise errors.Unavailable(f"the image registry did not give a layer of {run} to {repository}")
        config = _config(old, new, f"{self._address}/{run}@{new.digest}", count)
        document = {**old.document, "layers": [*layers, *old.document["layers"][count:]]}
        # Derived from what goes into it: done twice, it is the same image under the same tag.
        tag = "rebased-" + hashlib.sha256(f"{old.digest} {new.digest}".encode()).hexdigest()[:16]
        moved = self._manifests.write(repository, tag, document, config)
        if moved is None:
            raise errors.GiveUp(f"the platform's registry lost layers of {repository}; push the application again")
        return moved


def _below(image: str, old: Manifest) -> tuple[dict[str, Any], int]:
    """Return what the image tells of its making, and how many of its layers are the stack's."""
    try:
        told = json.loads(_labels(old)[labels.LIFECYCLE])
        return told, old.diff_ids.index(told["runImage"]["topLayer"]) + 1
    except (KeyError, ValueError, TypeError):
        raise errors.GiveUp(
            f"image {image.partition('@')[0]} does not tell which stack it is on: made by a Dockerfile, or before"
            " images told it; push the application again instead"
        ) from None


def _check_promise(run: str, old: Manifest, new: Manifest) -> None:
    before, now = labels.stack_id(run, _labels(old)), labels.stack_id(run, _labels(new))
    if before != now:
        raise errors.GiveUp(
            f"{run} promises {now} now, and the application was built for {before}: what was installed for the one"
            " need not run on the other; push the application again instead"
        )


def _config(old: Manifest, new: Manifest, reference: str, count: int) -> dict[str, Any]:
    told = json.loads(_labels(old)[labels.LIFECYCLE])
    told["runImage"] |= {"topLayer": new.diff_ids[-1], "reference": reference}
    marked = {**_labels(old), labels.LIFECYCLE: json.dumps(told, sort_keys=True, separators=(",", ":"))}
    diff_ids = [*new.diff_ids, *old.diff_ids[count:]]
    created = old.config.get("created", "1980-01-01T00:00:00Z")
    return {
        **old.config,
        "config": {**old.config["config"], "Labels": marked},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": created, "created_by": "stackyard"} for _ in diff_ids],
    }


def _labels(manifest: Manifest) -> dict[str, str]:
    return manifest.config.get("config", {}).get("Labels") or {}
