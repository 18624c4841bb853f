# SPDX-License-Identifier: Apache-2.0
"""What a registry of services is told of a replica, by the labels that Registrator honours. Pure.

Used by the planner of deployments. The words are those of Registrator's user guide (SERVICE_NAME, SERVICE_TAGS,
SERVICE_IGNORE, SERVICE_CHECK_…, and with a port SERVICE_8000_NAME, which counts more); any other SERVICE_ word is
metadata. Unlike there, only a replica that is ready is registered.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping

from stackyard.model.applications import Service

PREFIX = "SERVICE_"
CHECKS = ("HTTP", "HTTPS", "TCP", "TTL", "GRPC")
DETAILS = {"INTERVAL": "Interval", "TIMEOUT": "Timeout", "HTTP_METHOD": "Method", "INITIAL_STATUS": "Status"}
INTERVAL = "10s"
_COMMA = re.compile(r"(?<!\\),")
_WITH_PORT = re.compile(r"(\d+)_(.+)")


@dataclasses.dataclass(frozen=True)
class Registration:
    """A replica as a registry has it: `id` is its own alone; `check` is in the words of Consul's agent API."""

    id: str
    name: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Return what differs as soon as anything of it does."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def told(service: Service) -> dict[str, str]:
    """Return what a service's labels and environment tell the registry of its port; labels count more."""
    words: dict[str, str] = {}
    for source in (service.environment, service.labels):
        words |= {key.removeprefix(PREFIX): value for key, value in source.items() if key.startswith(PREFIX)}
    plain = {key: value for key, value in words.items() if not _WITH_PORT.fullmatch(key)}
    of_port = f"{service.port}_"
    return plain | {key.removeprefix(of_port): value for key, value in words.items() if key.startswith(of_port)}


def registration(owner: str, service: Service, replica: str, endpoint: str) -> Registration | None:
    """Return how a replica that answers at an address:port is registered; None for services that want none.

    `owner` is the environment's workload: it begins the ids of all that is registered for it.
    """
    words = told(service)
    if words.get("IGNORE"):
        return None
    address, _, port = endpoint.rpartition(":")
    return Registration(
        id=f"{prefix(owner)}{service.name}:{replica[:12]}:{service.port}",
        name=words.get("NAME") or service.name,
        address=address.strip("[]"),
        port=int(port),
        tags=tuple(tag.replace("\\,", ",") for tag in _COMMA.split(words.get("TAGS", "")) if tag),
        meta=_meta(words),
        check=_check(words, address, port),
    )


def prefix(owner: str) -> str:
    """Return how the ids of all begin that is registered for an environment."""
    return f"{owner[:8]}:"


def _meta(words: Mapping[str, str]) -> dict[str, str]:
    own = {"NAME", "TAGS", "ID", "IGNORE"}
    return {key.lower(): value for key, value in words.items() if key not in own and not key.startswith("CHECK_")}


def _check(words: Mapping[str, str], address: str, port: str) -> dict[str, str]:
    """Return a check as PUT /v1/agent/service/register takes it; nothing where none is asked for."""
    kind = next((kind for kind in CHECKS if f"CHECK_{kind}" in words), None)
    if kind is None:
        return {}
    asked, where = words[f"CHECK_{kind}"], f"{address}:{port}"
    found = {
        "HTTP": {"HTTP": f"http://{where}{asked}"},
        "HTTPS": {"HTTP": f"https://{where}{asked}"},
        "TCP": {"TCP": where},
        "TTL": {"TTL": asked},
        "GRPC": {"GRPC": where},
    }[kind]
    details = {name: words[f"CHECK_{word}"] for word, name in DETAILS.items() if f"CHECK_{word}" in words}
    return ({} if kind == "TTL" else {"Interval": INTERVAL}) | found | details
