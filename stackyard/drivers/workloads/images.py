# SPDX-License-Identifier: Apache-2.0
"""Bringing an image to the nodes that may run it, before the swarm looks for it there.

Used by `swarm.py`; knows no runs. Swarm does not ask a registry for an image that is given by digest
(or id) and already on the node.
"""

from __future__ import annotations

import collections
import contextlib
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from stackyard.drivers.workloads.api import NodeEngine
from stackyard.drivers.workloads.events import BROKEN
from stackyard.model import errors
from stackyard.model.ports import Registry

PULL_SECONDS = 120.0
AT_ONCE = 4
KEPT = 4096
FULL = "no space left on device"
_HOPELESS = ("not found", "manifest unknown", "denied", "unauthorized", "invalid reference")


def split(image: str) -> tuple[str, str]:
    """Return an image reference as (repository with its host, digest or tag)."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    head, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return f"{head}{slash}{base}", tag or "latest"


def repository(image: str, registry: str) -> str | None:
    """Return the repository's name within the registry (`host:port`), or None when it is elsewhere."""
    name = split(image)[0]
    return name.removeprefix(f"{registry}/") if name.startswith(f"{registry}/") else None


def grant(registry: Registry | None, image: str) -> Mapping[str, str] | None:
    """Return what nodes need to pull the image from the platform's registry; None for images from elsewhere."""
    if registry is None or image.startswith("sha256:"):
        return None
    name = repository(image, registry.address())
    return registry.grant([name], ["pull"]) if name else None


def present(engine: NodeEngine, image: str) -> bool:
    """Tell whether the node has the image."""
    try:
        engine.get(f"/images/{image}/json")
    except errors.NotFound:
        return False
    return True


def bring(engine: NodeEngine, image: str, auth: Mapping[str, str] | None) -> None:
    """Pull the image onto the node unless it is there; raises GiveUp when there is no such image."""
    if present(engine, image):
        return
    name, version = split(image)
    if image.startswith("sha256:"):
        raise errors.GiveUp(f"image {image} is not on {engine.node.name}; an image given by id can't be pulled")
    try:
        with engine.stream("POST", "/images/create", auth=auth, idle=PULL_SECONDS, fromImage=name, tag=version) as told:
            for line in told.iter_lines():
                _check(engine, image, json.loads(line) if line else {})
    except errors.NotFound as error:
        raise errors.GiveUp(f"image {image} can't be pulled: {error}") from error
    except BROKEN as error:
        raise engine.unavailable(f"the pull of {image} broke off: {error}") from error


class Ahead:
    """Brings images to nodes in threads of its own, each image to each node once; failures are for whoever needs it."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._pool = ThreadPoolExecutor(AT_ONCE, "fetch")
        self._known: collections.OrderedDict[tuple[str, str], None] = collections.OrderedDict()
        self._lock = threading.Lock()

    def begin(self, engine: NodeEngine, image: str) -> None:
        """Bring an image to a node, unless that was begun before."""
        with self._lock:
            if (engine.node.address, image) in self._known:
                return
            self._known[engine.node.address, image] = None
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._pool.submit(self._bring, engine, image)

    def _bring(self, engine: NodeEngine, image: str) -> None:
        with contextlib.suppress(errors.StackyardError):
            bring(engine, image, grant(self._registry, image))

    def close(self) -> None:
        """Begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _check(engine: NodeEngine, image: str, told: Mapping[str, object]) -> None:
    if "error" not in told:
        return
    message = f"{engine.node.name} can't pull {image}: {told['error']}"
    if FULL in message:
        raise errors.GiveUp(f"the disk is full: {message}; remove old images or volumes of the node, then try again")
    hopeless = any(word in message.lower() for word in _HOPELESS)
    raise errors.GiveUp(message) if hopeless else errors.Unavailable(message)
