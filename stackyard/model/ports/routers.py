# SPDX-License-Identifier: Apache-2.0
"""Routers: from host names to replicas."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from stackyard.model.applications import Maintenance
from stackyard.model.ports.certificates import TLSPair


@dataclasses.dataclass(frozen=True)
class Route:
    """How a host is answered for, besides by its servers.

    `owner` is APP_ID/ENVIRONMENT, which access logs carry. `https_only` sends plain HTTP to HTTPS. `pair` is served
    to TLS clients (`cert` with its chain; None: the platform's default). `note` says in words why there may be no
    ready replica; it is told only while there is none.
    """

    owner: str
    https_only: bool = False
    maintenance: Maintenance | None = None
    pair: TLSPair | None = None
    note: str = ""

    @property
    def mark(self) -> str:
        """Return what differs as soon as anything but the note does."""
        rules = json.dumps([self.owner, self.https_only, self.maintenance and dataclasses.astuple(self.maintenance)])
        return digest(rules) + "." + (digest(self.pair.pem) if self.pair else "")


def digest(text: str) -> str:
    """Return what marks compare texts by."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclasses.dataclass(frozen=True)
class Told:
    """What a router was told last of a host and does: the mark and the note of its route."""

    mark: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What a workload was asked of late: requests and errors (status 5xx) a second, times in ms (None: no request)."""

    requests: float = 0.0
    errors: float = 0.0
    p50: int | None = None
    p99: int | None = None


class Router(Protocol):
    """Leads HTTP requests for a host name to ready replicas."""

    def put(self, host: str, servers: Mapping[str, str], route: Route | None = None) -> None:
        """Make exactly these servers (name → address:port) take new requests for the host.

        Without a `route` the host is answered for as before.
        """

    def servers(self, host: str) -> Mapping[str, str]:
        """Return the servers that take new requests for the host."""

    def idle(self, host: str, server: str) -> bool:
        """Tell whether a server taken out has finished its requests."""

    def remove(self, host: str, owner: str = "") -> None:
        """Answer for the host no longer, unless it is another owner's by now."""

    def hosts(self, owner: str = "") -> list[str]:
        """Return all host names routed, or those that belong to an owner."""

    def told(self, host: str) -> Told:
        """Return what was told last of the host; empty marks when that has to be told again."""

    def traffic(self, workload_id: str) -> Traffic:
        """Return what a workload was asked in the last seconds, as far as is known."""
