# SPDX-License-Identifier: Apache-2.0
"""Discovery: a registry that tells others, by DNS and HTTP, where services answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from stackyard.model.discovery import Registration


class Discovery(Protocol):
    """A registry that an application runs itself; `endpoint` is the address:port of its HTTP API."""

    def registered(self, endpoint: str, owner: str) -> Mapping[str, str]:
        """Return the ids registered for an environment, each with the digest of what was told; raises Unavailable."""

    def register(self, endpoint: str, asked: Registration) -> None:
        """Register a service, or tell of it anew; raises Unavailable, and GiveUp when it is refused."""

    def deregister(self, endpoint: str, ident: str) -> None:
        """Take a service out, if it is there; raises Unavailable."""
