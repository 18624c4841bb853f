# SPDX-License-Identifier: Apache-2.0
"""Requests on an environment's names: domains and maintenance. Called through the table of routes.

Keys that come in are sealed and never go out. Whether a name is served already is read live from the router.
"""

from __future__ import annotations

import json
from typing import Any

from stackyard.api.application_deployment import environments
from stackyard.api.call import Call, Reply
from stackyard.conf import tls_port
from stackyard.drivers.certificates import given
from stackyard.intents.domains import GivenCertificate, normal
from stackyard.model import domains as names
from stackyard.model import errors
from stackyard.model.applications import Deployment, Maintenance, host_label
from stackyard.model.domains import Domain
from stackyard.model.ports import TLSPair, digest

SERVED, PENDING = "served", "pending"


def index(call: Call) -> Reply:
    """List an application's domains by name."""
    intents = call.services.intents
    places = {each.environment: each for each in intents.deployments.list(call.target)}
    found = intents.domains.list(call.target)
    return Reply(data=[_shown(call, each, places.get(each.environment)) for each in found])


def put(call: Call) -> Reply:
    """Have a name lead to the application, or change where it leads and what it is served with."""
    host, body = normal(call.args["host"], addresses=True), dict(call.body)
    certificate = _given(body.pop("certificate", None), body.pop("key", None), host)
    intents = call.services.intents
    made = intents.domains.put(call.caller, call.target.id, host, body, certificate)
    return Reply(202, _shown(call, made, intents.deployments.of(call.target, made.environment)))


def delete(call: Call) -> Reply:
    """Have a name lead to the application no longer."""
    call.services.intents.domains.remove(call.caller, call.target.id, call.args["host"])
    return Reply(202)


def maintenance(call: Call) -> Reply:
    """Tell whether an environment is in maintenance, and whether that is served already."""
    of = environments.deployment(call)
    told = call.services.told(_base(call, of)).mark.partition(".")[0]
    served = told == names.rules(of, None).mark.partition(".")[0]
    kept = of.maintenance
    shown = {"text": kept.text, "page": bool(kept.page)} if kept else {"text": "", "page": False}
    return Reply(
        data={
            "environment": of.environment,
            "enabled": kept is not None,
            **shown,
            "status": SERVED if served else PENDING,
        }
    )


def maintain(call: Call) -> Reply:
    """Put an environment in maintenance, or take it out."""
    body = call.body
    wanted = Maintenance(body.get("text") or "", body.get("page") or "") if body["enabled"] else None
    call.services.intents.maintenance.put(call.caller, call.target.id, wanted, environments.chosen(call))
    return Reply(202)


def _given(certificate: str | None, key: str | None, host: str) -> GivenCertificate | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise errors.BadInput("a certificate and its key come together")
    found = given.check(certificate, key, host)
    return GivenCertificate(found.cert, found.key, found.names, found.expires_at.isoformat())


def _shown(call: Call, domain: Domain, of: Deployment | None) -> dict[str, Any]:
    told, _, certificate = call.services.told(domain.host).mark.partition(".")
    served = of is not None and told == names.rules(of, domain).mark.partition(".")[0]
    if domain.sealed:
        served = served and certificate == digest(_pem(call, domain.sealed))
    port, plain = tls_port(call.services.conf), call.services.conf.router.port
    return {
        "host": domain.host,
        "environment": domain.environment,
        "service": domain.service or None,
        "origin": domain.origin.value,
        "https_only": domain.https_only,
        "certificate": "own" if domain.sealed else "platform",
        "expires_at": domain.expires_at or None,
        "url": f"https://{domain.host}" + ("" if port == 443 else f":{port}"),
        "http_url": f"http://{domain.host}" + ("" if plain == 80 else f":{plain}"),
        "status": SERVED if served else PENDING,
        "created_at": domain.created_at.isoformat(),
    }


def _pem(call: Call, sealed: str) -> str:
    kept = json.loads(call.services.secrets.open(sealed))
    return TLSPair("", kept["cert"], kept["key"]).pem


def _base(call: Call, of: Deployment) -> str:
    app = call.target
    return f"{host_label(app.name, of.environment)}.{app.project_name}.{call.services.conf.apps.domain}"
