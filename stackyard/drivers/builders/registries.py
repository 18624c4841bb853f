# SPDX-License-Identifier: Apache-2.0
"""The registry that an application runs for itself, in a Compose file: which service it is, what it is told of others.

`x-stackyard: {registry: consul}` at the top of the file, labels such as SERVICE_NAME on services. Called by `compose`;
raises only BadInput.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackyard.drivers.builders.environment import pairs
from stackyard.model import errors
from stackyard.model.applications import Service
from stackyard.model.discovery import PREFIX


def registry(document: Mapping[str, Any], services: Mapping[str, Service]) -> str:
    """Return the name of the service that is the registry; nothing where none is named."""
    own = document.get("x-stackyard")
    asked = own.get("registry") if isinstance(own, dict) else None
    if asked is None:
        return ""
    if not isinstance(asked, str) or asked not in services:
        raise errors.BadInput(f"x-stackyard.registry: there is no service {asked!r}; it names the one that is a Consul")
    if services[asked].port is None:
        raise errors.BadInput(f"x-stackyard.registry: service {asked!r} publishes no port; give it 'ports: [\"8500\"]'")
    return asked


def labels(asked: Any, where: str) -> dict[str, str]:
    """Return the labels that tell a registry of a service; others have no effect."""
    return {key: value for key, value in pairs(asked, where).items() if key.startswith(PREFIX)}
