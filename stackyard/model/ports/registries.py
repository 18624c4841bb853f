# SPDX-License-Identifier: Apache-2.0
"""The registry, and images that get another base in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Protocol


class Tar(Protocol):
    """A layer's files as a tar: `digest` is of the tar as it is, `stream` is at its beginning."""

    @property
    def stream(self) -> BinaryIO:
        """Return the bytes."""

    @property
    def digest(self) -> str:
        """Return `sha256:...`."""


class Registry(Protocol):
    """The platform's image registry as seen from nodes."""

    def address(self) -> str:
        """Return `host:port` under which nodes reach the registry."""

    def grant(
        self, repositories: Sequence[str], actions: Sequence[str], mount: Sequence[str] = ()
    ) -> Mapping[str, str]:
        """Return engine auth (X-Registry-Auth as a dict) for these repositories, short-lived.

        Layers may also be taken from the repositories in `mount`, which saves pushing them again.
        """

    def digest(self, repository: str, tag: str) -> str | None:
        """Return the manifest digest, or None when there is no such image."""

    def assemble(
        self, below: str, layers: Sequence[Tar], config: Mapping[str, Any], repository: str, tag: str
    ) -> str | None:
        """Write the image that is `below` (a reference by digest) with layers on top; return its digest.

        `config` is the image's whole configuration (OCI image spec). None where `below` is not there (any more).
        """

    def attach(self, cluster_id: str) -> None:
        """Make the registry reachable from the cluster's network."""

    def detach(self, cluster_id: str) -> None:
        """Undo `attach`, so that the network can go."""

    def delete(self, prefix: str) -> None:
        """Delete all images whose repository begins with `prefix`."""


@dataclasses.dataclass(frozen=True)
class Rebased:
    """An image by digest, and the stack that it is on (`stackyard/python@sha256:...`)."""

    image: str
    stack: str


class Rebaser(Protocol):
    """Moves images to newer stacks, in the registry alone."""

    def rebase(self, image: str) -> Rebased:
        """Return the image (by digest) as it is on the newest of its stack; the same where it is on that already.

        Raises GiveUp where it was not made by a language pack or buildpack, or the stack promises something else now.
        """
