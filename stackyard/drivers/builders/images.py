# SPDX-License-Identifier: Apache-2.0
"""Images that builds begin with and end in: found in the platform's registry, brought to the node, published.

Used by `tenant`, `engine_build`, `executor` and `steps`.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stackyard.drivers.builders import references
from stackyard.drivers.builders.engine import BuildNode
from stackyard.model import errors
from stackyard.model.ports import Log, Registry

_PULL, _PUSH = ("pull",), ("pull", "push")


@dataclasses.dataclass(frozen=True)
class Made:
    """An image on the node (`id`), and the repositories in which its lower layers may be already.

    `reference` is how the platform's registry has it, by digest (empty: it may not be there). What was made there
    alone has no id: no node has it yet.
    """

    id: str
    mounts: tuple[str, ...] = ()
    reference: str = ""


class Lender(Protocol):
    """Lends images of the platform's own Engine."""

    def lend(self, name: str, project_id: str, log: Log) -> tuple[str, str] | None:
        """Return (repository, digest) of a copy in the registry; None where there is none for the project."""


class Images:
    """Images on one node, as one project may have them."""

    def __init__(self, node: BuildNode, registry: Registry, project_id: str, lender: Lender | None = None) -> None:
        self.node = node
        self.registry = registry
        self.project_id = project_id
        self.lender = lender

    def resolve(self, image: str) -> str:
        """Return the image by digest, from the platform's registry or else a public one; raises GiveUp."""
        reference = references.parse(image)
        repository, digest = self._in_platform(reference)
        if digest:
            return f"{self.registry.address()}/{repository}@{digest}"
        if reference.host == self.registry.address():
            raise self._nowhere(image, repository, "")
        lent = self._lent(reference, lambda _: None)
        if lent:
            return f"{self.registry.address()}/{lent[0]}@{lent[1]}"
        try:
            with self.node.errors():
                found = self.node.api.inspect_distribution(str(reference), auth_config={})  # type: ignore[no-untyped-call]
            return reference.at(found["Descriptor"]["digest"])
        except errors.GiveUp as error:
            raise self._nowhere(image, repository, str(error)) from error

    def ensure(self, image: str, log: Log) -> Made:
        """Bring an image to the node under its plain name, so that FROM finds it; raises GiveUp where no one has it."""
        reference = references.parse(image)
        repository, digest = self._in_platform(reference)
        if repository and digest:
            made = self._from_platform(repository, digest, image)
            return Made(made, (repository,), f"{self.registry.address()}/{repository}@{digest}")
        here = self.node.inspect(image)
        if here:
            return Made(str(here["Id"]))
        if reference.host == self.registry.address():
            raise self._nowhere(image, repository, "")
        lent = self._lent(reference, log)
        if lent:
            made = self._from_platform(*lent, image)
            return Made(made, (lent[0],), f"{self.registry.address()}/{lent[0]}@{lent[1]}")
        log(f"Pulling {reference}\n")
        try:
            self._pull(str(reference), {})
        except errors.GiveUp as error:
            raise self._nowhere(image, repository, str(error)) from error
        return Made(self._id(str(reference)))

    def has(self, image: str) -> bool:
        """Tell whether the platform's registry or the node has an image."""
        return bool(self._in_platform(references.parse(image))[1] or self.node.inspect(image))

    def inspected(self, image: str) -> dict[str, Any]:
        """Return what the engine knows of an image that must be there; raises Unavailable when it went meanwhile."""
        found = self.node.inspect(image)
        if found is None:
            raise errors.Unavailable(f"image {image} vanished from {self.node.name} while it was being used")
        return found

    def pull(self, repository: str, digest: str) -> str:
        """Bring an image of the platform's registry to the node; return its id."""
        name = f"{self.registry.address()}/{repository}@{digest}"
        here = self.node.inspect(name)
        if here:
            return str(here["Id"])
        self._pull(name, self.registry.grant([repository], _PULL))
        return self._id(name)

    def publish(self, image: str, repository: str, tag: str, mount: Sequence[str] = ()) -> str:
        """Push an image of the node unless the registry has it; return its reference by digest.

        Layers that are in one of the `mount` repositories are not sent again.
        """
        name = f"{self.registry.address()}/{repository}"
        known = self.published(image, repository)
        if known:
            return known
        with self.node.errors():
            self.node.api.tag(image, name, tag)
        return f"{name}@{self._push(name, tag, self.registry.grant([repository], _PUSH, mount))}"

    def published(self, image: str, repository: str) -> str | None:
        """Return the reference under which an image of the node was pushed before, if the registry still has it."""
        name = f"{self.registry.address()}/{repository}"
        here = self.node.inspect(image) or {}
        for known in here.get("RepoDigests") or ():
            within, _, digest = known.partition("@")
            if within == name and self.registry.digest(repository, digest):
                return str(known)
        return None

    def _lent(self, reference: references.Reference, log: Log) -> tuple[str, str] | None:
        if self.lender is None or reference.by_digest:
            return None
        return self.lender.lend(str(reference), self.project_id, log)

    def _in_platform(self, reference: references.Reference) -> tuple[str | None, str | None]:
        repository = references.in_platform(reference, self.registry.address(), self.project_id)
        return repository, repository and self.registry.digest(repository, reference.version)

    def _from_platform(self, repository: str, digest: str, image: str) -> str:
        found = self.pull(repository, digest)
        here = self.node.inspect(image)
        if (here is None or here["Id"] != found) and "@" not in image:
            name, _, tag = str(references.parse(image)).rpartition(":")
            with self.node.errors():
                self.node.api.tag(found, name, tag)
        return found

    def _pull(self, name: str, auth: Mapping[str, str]) -> None:
        image, separator, version = name.rpartition("@" if "@" in name else ":")
        parameters = {"fromImage": image, "tag": version}
        for message in self.node.stream("/images/create", params=parameters, headers=registry_auth(auth)):
            _check(message, f"can't pull {image}{separator}{version}")

    def _push(self, name: str, tag: str, auth: Mapping[str, str]) -> str:
        digest = ""
        for message in self.node.stream(f"/images/{name}/push", params={"tag": tag}, headers=registry_auth(auth)):
            _check(message, "can't push the image to the platform's registry")
            digest = (message.get("aux") or {}).get("Digest", digest)
        if not digest:
            raise errors.Unavailable("the platform's registry did not tell the digest of the image pushed")
        return digest

    def _id(self, name: str) -> str:
        return str(self.inspected(name)["Id"])

    def _nowhere(self, image: str, repository: str | None, said: str) -> errors.GiveUp:
        asked: Sequence[str] = [f"the platform's registry ({repository})"] if repository else []
        if self.lender and said:
            asked = [*asked, "the images of the platform's own Engine (of those in its option host_images)"]
        asked = [*asked, f"the public one ({said})"] if said else asked
        cure = "check its name and tag, or build it from a Dockerfile"
        return errors.GiveUp(f"image {image!r} was not found; asked: {', then '.join(asked) or 'no one'}; {cure}")


def registry_auth(auth: Mapping[str, str]) -> dict[str, str]:
    """Return the header that hands a registry login to an engine."""
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()}


def _check(message: Mapping[str, Any], what: str) -> None:
    if "error" not in message:
        return
    said = str(message["error"])
    passing = any(word in said for word in ("connection refused", "i/o timeout", "EOF", "no such host", "503", "502"))
    kind = errors.Unavailable if passing and "platform" in what else errors.GiveUp
    raise kind(f"{what}: {said}")
