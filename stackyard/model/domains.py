# SPDX-License-Identifier: Apache-2.0
"""Domains: host names of an application's own, beside those that the platform gives it."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Sequence

from stackyard.model.applications import PRODUCTION, Deployment, Service, Stage
from stackyard.model.ports import Route
from stackyard.model.records import new_id, utcnow

MAX_PER_APP = 100


class Origin(enum.StrEnum):
    """Who asked for a domain: a user, or a release (`x-stackyard: {domains: [..]}` of a service)."""

    USER = "user"
    RELEASE = "release"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Domain:
    """A host name that leads to a service (empty: the one that has the application's own name).

    `sealed` is the given certificate with its chain and key, None where the platform's CA issues one; `names` and
    `expires_at` (RFC 3339) are what that certificate says.
    """

    id: str = dataclasses.field(default_factory=new_id)
    project_id: str
    app_id: str
    host: str
    environment: str = PRODUCTION
    service: str = ""
    origin: Origin = Origin.USER
    https_only: bool = False
    sealed: str | None = dataclasses.field(default=None, repr=False)
    names: tuple[str, ...] = ()
    expires_at: str = ""
    created_at: datetime.datetime = dataclasses.field(default_factory=utcnow)


def main_service(services: Sequence[Service]) -> str | None:
    """Return the service that the environment's own name leads to: `web`, else the first; None where none listens."""
    routed = [service.name for service in services if service.port and service.stage is Stage.RUN]
    return "web" if "web" in routed else next(iter(routed), None)


def hosts(base: str, services: Sequence[Service], domains: Sequence[Domain]) -> dict[str, str | None]:
    """Return the service of each host, None where the release has none for it.

    Without services only the environment's own name `base` is there; domains of other releases are left out.
    """
    routed = [service.name for service in services if service.port and service.stage is Stage.RUN]
    main = main_service(services)
    found: dict[str, str | None] = {} if services and main is None else {base: main}
    found |= {f"{name}.{base}": name for name in routed if name != main}
    asked = {host for service in services for host in service.domains}
    for domain in domains:
        if domain.origin is Origin.USER or not services or domain.host in asked:
            wanted = domain.service or main
            found[domain.host] = wanted if wanted in routed else None
    return found


def rules(deployment: Deployment, domain: Domain | None) -> Route:
    """Return how one host of an environment is answered for, without certificate and note."""
    owner = f"{deployment.workload_id}/{deployment.environment}"
    return Route(owner, bool(domain and domain.https_only), deployment.maintenance)
