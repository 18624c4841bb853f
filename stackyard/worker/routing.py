# SPDX-License-Identifier: Apache-2.0
"""Which hosts an environment is served at and how they are answered for: names, certificates, maintenance.

Used by the deployments of the worker. Certificates come from the domain where one was given, else from the
platform's CA.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence

from stackyard.drivers.certificates.hosts import HostCertificates
from stackyard.model import domains
from stackyard.model.applications import Application, Deployment, Service, host_label
from stackyard.model.domains import Domain
from stackyard.model.plan.routes import note
from stackyard.model.ports import Route, Router, Run, Secrets, TLSPair, Told
from stackyard.store import Store


@dataclasses.dataclass(frozen=True)
class Names:
    """The service of each host that has one, and the rules of all hosts."""

    hosts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rules: Mapping[str, Route] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Looked:
    """What the router does now: the servers of each host, and what it was told of it."""

    routes: Mapping[str, Mapping[str, str]]
    told: Mapping[str, Told]


class Routing:
    """Names of environments under `domain`; without `certificates` none is served for names without a given one."""

    def __init__(
        self, store: Store, router: Router, secrets: Secrets, domain: str, certificates: HostCertificates | None
    ) -> None:
        self.store = store
        self.router = router
        self.domain = domain
        self.certificates = certificates if certificates and certificates.ca.exists() else None
        self._given = functools.lru_cache(maxsize=512)(lambda sealed: _pair(secrets.open(sealed)))

    def base(self, app: Application, record: Deployment) -> str:
        """Return the host name that an environment's main service has, and that those of the others end with."""
        return f"{host_label(app.name, record.environment)}.{app.project_name}.{self.domain}"

    def names(self, app: Application, record: Deployment, services: Sequence[Service], runs: Sequence[Run]) -> Names:
        """Return what an environment is to be served at; without services its own name, which says why not."""
        with self.store.reading() as tx:
            own = [each for each in tx.domains.of(app.id) if each.environment == record.environment]
        by_host = {each.host: each for each in own}
        hosts = domains.hosts(self.base(app, record), services, own)
        rules = {host: self._rules(record, host, by_host.get(host), runs, service) for host, service in hosts.items()}
        return Names({host: service for host, service in hosts.items() if service}, rules)

    def look(self, app: Application, record: Deployment) -> Looked:
        """Return what the router does for the environment: for its names, and for all that it was told are its own."""
        base = self.base(app, record)
        # Names of before there were owners are known by their form only.
        hosts = {host for host in self.router.hosts() if host == base or host.endswith(f".{base}")}
        hosts |= set(self.router.hosts(owner(record)))
        return Looked(
            {host: self.router.servers(host) for host in sorted(hosts)},
            {host: self.router.told(host) for host in hosts},
        )

    def remove(self, record: Deployment, host: str) -> None:
        """Answer for the host no longer, unless it is another's by now."""
        self.router.remove(host, owner(record))
        if self.certificates:
            self.certificates.forget(host)

    def _rules(
        self, record: Deployment, host: str, domain: Domain | None, runs: Sequence[Run], service: str | None
    ) -> Route:
        pair = self._given(domain.sealed) if domain and domain.sealed else None
        if pair is None and self.certificates:
            pair = self.certificates.certificate(host)
        return dataclasses.replace(domains.rules(record, domain), pair=pair, note=note(record, runs, service))


def owner(record: Deployment) -> str:
    """Return whose the hosts of an environment are, in the router's words."""
    return domains.rules(record, None).owner


def _pair(text: str) -> TLSPair:
    found = json.loads(text)
    return TLSPair("", found["cert"], found["key"])
