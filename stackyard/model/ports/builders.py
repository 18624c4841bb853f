# SPDX-License-Identifier: Apache-2.0
"""Builders: from source trees to images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

from stackyard.model.applications import AppSpec, Service
from stackyard.model.ports.engines import NodeAccess
from stackyard.model.ports.sources import Log


@dataclasses.dataclass(frozen=True)
class BuildRequest:
    """One image to be made: from `folder` (a service's context), on `node`, published as `repository:tag`.

    `revision` is what the source was called, for the image's labels. `unwanted` may be asked at any time, from any
    thread: once it is true, what is under way is broken off.
    """

    node: NodeAccess
    folder: str
    service: Service
    repository: str
    tag: str
    project_id: str
    app_id: str
    revision: str = ""
    unwanted: Callable[[], bool] = lambda: False


class Builder(Protocol):
    """Turns source trees into images in the registry, on the tenant's own node."""

    def detect(self, folder: str, buildpacks: tuple[str, ...] = ()) -> AppSpec:
        """Read compose.yaml, Dockerfile, Procfile or plain source; raises BadInput saying what is missing.

        `buildpacks` (git URLs) are the application's choice; empty: what the tree says.
        """

    def build(self, request: BuildRequest, log: Log) -> str:
        """Build and publish; return the image reference by digest; raises GiveUp with the log's end."""

    def resolve(self, node: NodeAccess, image: str, project_id: str, log: Log) -> str:
        """Return a reference by digest that the cluster's nodes can pull for a plain `image:`.

        One of the platform's own (`stackyard/NAME`) is made where it is not there yet.
        """
