# SPDX-License-Identifier: Apache-2.0
"""Domains: names of an application's own that lead to it, from users and from releases.

Called by the application-deployment API, and by whoever writes a release. A change is served without a new release.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import idna

from stackyard.intents.deployments import adjust, environment_of
from stackyard.intents.rules import Rules, living
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release, Service
from stackyard.model.domains import MAX_PER_APP, Domain, Origin
from stackyard.model.ports import Secrets
from stackyard.model.records import Caller
from stackyard.store import Store, Transaction
from stackyard.store.domains import taken

MAX_HOST = 240
_NUMBERS = re.compile(r"[0-9.]+")


@dataclasses.dataclass(frozen=True)
class GivenCertificate:
    """A certificate (PEM, with its chain) and its key that were found to fit the domain's name."""

    cert: str
    key: str = dataclasses.field(repr=False)
    names: tuple[str, ...] = ()
    expires_at: str = ""


class Domains:
    """Intents on domains."""

    def __init__(self, store: Store, secrets: Secrets, rules: Rules) -> None:
        self.store = store
        self.secrets = secrets
        self.rules = rules

    def list(self, app: Application) -> Sequence[Domain]:
        """Return the application's domains by name."""
        with self.store.reading() as tx:
            return tx.domains.of(app.id)

    def put(
        self, caller: Caller, ident: str, host: str, values: Mapping[str, Any], given: GivenCertificate | None = None
    ) -> Domain:
        """Have a name lead to the application; of one that it has, change what `values` holds.

        `values` may hold service, environment, https_only, and own_certificate (False: back to the platform's).
        Raises BadInput for what is no host name or may not be had, Conflict for one that is taken, Forbidden for an
        address: the router's own leads to one application of all projects, so that an administrator says which.
        """
        name = normal(host, addresses=True)
        if _is_address(name) and not caller.is_admin:
            raise errors.Forbidden(f"only the cloud's administrators may lead the address {name} to an application")
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            known = _mine(tx, app, name, self.rules.domain)
            domain = known or Domain(project_id=app.project_id, app_id=app.id, host=name)
            changed = dataclasses.replace(domain, **self._fields(domain, values, given))
            deployment = environment_of(tx, app, changed.environment)
            if changed.service:
                _check_service(tx, deployment, changed.service)
            tx.domains.put(changed)
            adjust(tx, deployment, f"domain {name} {'changed' if known else 'added'}")
            if domain.environment != changed.environment:
                adjust(tx, environment_of(tx, app, domain.environment), f"domain {name} moved")
            return changed

    def remove(self, caller: Caller, ident: str, host: str) -> None:
        """Have the name lead there no longer; raises NotFound, Conflict for one that the release brings."""
        name = normal(host, addresses=True)
        with self.store.transaction() as tx:
            app = living(tx, caller, ident)
            domain = tx.domains.at(name)
            if domain is None or domain.app_id != app.id:
                raise errors.NotFound(f"application {app.name} has no domain {name}")
            if domain.origin is Origin.RELEASE:
                raise errors.Conflict(f"{name} stands in the release's Compose file: take it out there, and push")
            tx.domains.delete(domain.id)
            adjust(tx, environment_of(tx, app, domain.environment), f"domain {name} removed")

    def _fields(self, domain: Domain, values: Mapping[str, Any], given: GivenCertificate | None) -> dict[str, Any]:
        fields = {
            name: values[name] for name in ("service", "environment", "https_only") if values.get(name) is not None
        }
        if domain.origin is Origin.RELEASE and {"service", "environment"} & fields.keys():
            raise errors.Conflict(
                f"the release's Compose file says where {domain.host} leads: change it there, and push"
            )
        if given:
            sealed = self.secrets.seal(json.dumps({"cert": given.cert, "key": given.key}))
            return {**fields, "sealed": sealed, "names": given.names, "expires_at": given.expires_at}
        if values.get("own_certificate") is False:
            return {**fields, "sealed": None, "names": (), "expires_at": ""}
        return fields


def normal(host: str, *, addresses: bool = False) -> str:
    """Return a host name as DNS has it: small letters, IDNA converted; raises BadInput saying what is wrong.

    With `addresses`, an IPv4 address is a name too.
    """
    name = host.strip().rstrip(".").lower()
    if addresses and _is_address(name):
        return name
    if "*" in name:
        raise errors.BadInput(f"'{name[:63]}': wildcards are not served; add each name")
    try:
        name = idna.encode(name, uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise errors.BadInput(f"'{name[:63]}' is no host name: {error}") from None
    if len(name) > MAX_HOST or "." not in name or _NUMBERS.fullmatch(name):
        raise errors.BadInput(
            f"'{name[:63]}' is no host name with a domain: at most {MAX_HOST} characters, as www.example.org"
        )
    return name


def _is_address(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return str(ipaddress.IPv4Address(name)) == name
    return False


def claimed(tx: Transaction, app: Application, release: Release, domain: str) -> Sequence[Domain]:
    """Return the names that a release's services ask for, as they are to be; only in production are they served.

    Raises Conflict for one that is taken, BadInput for what is none.
    """
    if release.environment != PRODUCTION:
        return []
    found: list[Domain] = []
    there = len(tx.domains.of(app.id))
    for service in release.spec.services:
        for host in map(normal, service.domains):
            known = _mine(tx, app, host, domain, there + len(found))
            base = known or Domain(project_id=app.project_id, app_id=app.id, host=host)
            found.append(dataclasses.replace(base, service=service.name, environment=PRODUCTION, origin=Origin.RELEASE))
    return found


def let_go(tx: Transaction, release: Release) -> None:
    """Free the names of earlier releases that neither this one asks for nor the one that serves has."""
    if release.environment != PRODUCTION:
        return
    brought = [each for each in tx.domains.of(release.app_id) if each.origin is Origin.RELEASE]
    if brought:
        kept = _asked(release) | _serving(tx, release.app_id)
        for each in brought:
            if each.host not in kept:
                tx.domains.delete(each.id)


def _asked(release: Release) -> set[str]:
    return {normal(host) for service in release.spec.services for host in service.domains}


def _serving(tx: Transaction, app_id: str) -> set[str]:
    deployment = tx.deployments.of(app_id)
    return _asked(tx.releases.number(app_id, deployment.serving)) if deployment and deployment.serving > 0 else set()


def _mine(tx: Transaction, app: Application, host: str, platform: str, there: int | None = None) -> Domain | None:
    """Return the application's own domain of this name, None where nobody has it; raises for what it can't have."""
    found = tx.domains.at(host)
    if found:
        if found.app_id != app.id:
            raise errors.Conflict(taken(host))
        return found
    _check_platform(app, host, platform)
    if (len(tx.domains.of(app.id)) if there is None else there) >= MAX_PER_APP:
        raise errors.Conflict(f"application {app.name} has {MAX_PER_APP} domains, which is the limit")
    return None


def _check_platform(app: Application, host: str, platform: str) -> None:
    """Raise Conflict for a name that the platform gives, or may give, to an application."""
    own = f"{app.name}.{app.project_name}.{platform}"
    if host == own:
        raise errors.Conflict(f"{host} leads to {app.name} already")
    within = host == platform or host.endswith(f".{platform}")
    beneath = host.removesuffix(f".{platform}")
    if within and not host.endswith(f".{own}") and (host == platform or "." in beneath):
        raise errors.Conflict(f"names under {platform} are given by the platform; use a domain of your own")


def _check_service(tx: Transaction, deployment: Deployment, service: str) -> None:
    if deployment.release < 1:
        return
    services: Sequence[Service] = tx.releases.number(deployment.app_id, deployment.release).spec.services
    routed = [each.name for each in services if each.port]
    if service not in routed:
        have = ", ".join(routed) or "none"
        raise errors.BadInput(f"the release has no service '{service[:63]}' that publishes a port; it has: {have}")
