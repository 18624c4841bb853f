# SPDX-License-Identifier: Apache-2.0
"""The table of the container-infra API: which request goes where, who may send it, and how faults are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackyard.api import openapi
from stackyard.api.call import Body, Call, Family, Reply, Route
from stackyard.api.container_infra import (
    answers,
    bays,
    certificates,
    clusters,
    clustertemplates,
    credentials,
    discovery,
    federations,
    mservices,
    nodegroups,
    offers,
    paging,
    quotas,
    schemas,
    stats,
)
from stackyard.api.faults import Fault

PAGED = paging.PAGED
RESIZE, GROUPS, CREDENTIALS = (1, 7), (1, 9), (1, 12)
Handler = Callable[[Call], Reply]
Find = Callable[[Call], Any] | None


def description(call: Call) -> Reply:
    """Tell all of this API to machines (OpenAPI)."""
    return Reply(data=openapi.document(FAMILY, FAMILY.served(call.services.conf), call.url))


def fault(what: Fault) -> Reply:
    """Write a fault as Magnum does: an envelope of one error."""
    return Reply(what.status, {"errors": [_error(what)]})


def _error(what: Fault) -> dict[str, Any]:
    if what.versions:
        low, high = what.versions
        help_link = {"rel": "help", "href": "http://docs.openstack.org/api-guide/compute/microversions.html"}
        return {
            "max_version": high,
            "min_version": low,
            "code": "magnum.microversion-unsupported",
            "links": [help_link],
            "title": "Requested microversion is unsupported",
        }
    return {
        "request_id": "",
        "code": "client" if 400 <= what.status < 500 and what.message else "",
        "status": what.status,
        "title": what.message.partition(".")[0] if what.message else "",
        "detail": what.message,
        "links": [],
    }


TEMPLATES, TEMPLATE = "/v1/clustertemplates", "/v1/clustertemplates/{template}"
CLUSTERS, CLUSTER = "/v1/clusters", "/v1/clusters/{cluster}"
ACTIONS = "/v1/clusters/{cluster}/actions"
NODEGROUPS, NODEGROUP = "/v1/clusters/{cluster}/nodegroups", "/v1/clusters/{cluster}/nodegroups/{nodegroup}"
CERTIFICATES, CERTIFICATE = "/v1/certificates", "/v1/certificates/{cluster}"
CREDENTIAL = "/v1/credentials/{cluster}"
QUOTAS, QUOTA = "/v1/quotas", "/v1/quotas/{project}/{resource}"
FEDERATIONS, FEDERATION = "/v1/federations", "/v1/federations/{federation}"
_TEMPLATE, _CLUSTER, _GROUP, _NAMED = clustertemplates.find, clusters.find, nodegroups.find, certificates.find
NO_QUERY: frozenset[str] = frozenset()
CA_TYPE, ROLLBACK = frozenset({"ca_cert_type"}), frozenset({"rollback"})


def _get(path: str, handler: Handler, rule: str, find: Find = None, **more: Any) -> Route:
    return Route("GET", path, handler, rule, find, **{"query": NO_QUERY, **more})


def _send(method: str, path: str, handler: Handler, rule: str, find: Find = None, **more: Any) -> Route:
    """Return a route that takes JSON when it has a schema."""
    body = Body.JSON if "schema" in more else Body.NONE
    return Route(method, path, handler, rule, find, body=body, **{"query": NO_QUERY, **more})


ROUTES: tuple[Route, ...] = (
    Route("GET", "", discovery.root, None),
    Route("GET", "/v1", discovery.collections, None),
    Route("GET", discovery.OPENAPI, description, None),
    _get(TEMPLATES, clustertemplates.index, "clustertemplate:get_all", query=PAGED),
    _get(f"{TEMPLATES}/detail", clustertemplates.detail, "clustertemplate:detail", query=PAGED),
    _send("POST", TEMPLATES, clustertemplates.create, "clustertemplate:create", schema=schemas.TEMPLATE),
    _get(TEMPLATE, clustertemplates.show, "clustertemplate:get", _TEMPLATE),
    _send("PATCH", TEMPLATE, clustertemplates.update, "clustertemplate:update", _TEMPLATE, schema=schemas.PATCH),
    _send("DELETE", TEMPLATE, clustertemplates.delete, "clustertemplate:delete", _TEMPLATE),
    _get(CLUSTERS, clusters.index, "cluster:get_all", query=PAGED),
    _get(f"{CLUSTERS}/detail", clusters.detail, "cluster:detail", query=PAGED),
    _send("POST", CLUSTERS, clusters.create, "cluster:create", schema=schemas.CLUSTER),
    _get(CLUSTER, clusters.show, "cluster:get", _CLUSTER),
    _send("PATCH", CLUSTER, clusters.update, "cluster:update", _CLUSTER, schema=schemas.PATCH, query=ROLLBACK),
    _send("DELETE", CLUSTER, clusters.delete, "cluster:delete", _CLUSTER),
    _send(
        "POST", f"{ACTIONS}/resize", clusters.resize, "cluster:resize", _CLUSTER, schema=schemas.RESIZE, since=RESIZE
    ),
    _send(
        "POST",
        f"{ACTIONS}/upgrade",
        clusters.upgrade,
        "cluster:upgrade",
        _CLUSTER,
        schema=schemas.UPGRADE,
        since=RESIZE,
    ),
    _get(NODEGROUPS, nodegroups.index, "nodegroup:get_all", _CLUSTER, since=GROUPS, query=PAGED | {"role"}),
    _send("POST", NODEGROUPS, nodegroups.create, "nodegroup:create", _CLUSTER, schema=schemas.NODEGROUP, since=GROUPS),
    _get(NODEGROUP, nodegroups.show, "nodegroup:get", _GROUP, since=GROUPS),
    _send("PATCH", NODEGROUP, nodegroups.update, "nodegroup:update", _GROUP, schema=schemas.PATCH, since=GROUPS),
    _send("DELETE", NODEGROUP, nodegroups.delete, "nodegroup:delete", _GROUP, since=GROUPS),
    _get(CERTIFICATE, certificates.show, "certificate:get", _CLUSTER, query=CA_TYPE),
    _send("POST", CERTIFICATES, certificates.sign, "certificate:create", _NAMED, schema=schemas.CSR),
    _send("PATCH", CERTIFICATE, certificates.rotate, "certificate:rotate_ca", _CLUSTER),
    _send("PATCH", CREDENTIAL, credentials.rotate, "credential:rotate", _CLUSTER, since=CREDENTIALS),
    _get(QUOTAS, quotas.index, "quota:get_all", query=PAGED | {"all_tenants"}),
    _send("POST", QUOTAS, quotas.create, "quota:create", schema=quotas.NEW),
    _get(QUOTA, quotas.show, "quota:get", quotas.find),
    _send("PATCH", QUOTA, quotas.update, "quota:update", quotas.find, schema=quotas.CHANGE),
    _send("DELETE", QUOTA, quotas.delete, "quota:delete", quotas.find),
    _get("/v1/mservices", mservices.index, "magnum-service:get_all"),
    _get(FEDERATIONS, federations.index, "federation:get_all", query=PAGED),
    _get(f"{FEDERATIONS}/detail", federations.index, "federation:detail", query=PAGED),
    _send("POST", FEDERATIONS, federations.create, "federation:create", schema=federations.NEW),
    _get(FEDERATION, federations.absent, "federation:get"),
    _send("PATCH", FEDERATION, federations.absent, "federation:update", schema=schemas.PATCH, query=ROLLBACK),
    _send("DELETE", FEDERATION, federations.absent, "federation:delete"),
    _get("/v1/stats", stats.show, "stats:get_all", query=frozenset({"project_id", "type"})),
    _get("/v1/offers", offers.show, "offer:get_all"),
)

ANSWERED = tuple(map(answers.answered, ROUTES))
FAMILY = Family(
    "container-infra",
    discovery.PREFIX,
    (*ANSWERED, *bays.alias(ANSWERED)),
    fault,
    discovery.VERSIONS,
    implied="/v1",
    error=answers.ERRORS,
    parameters=answers.PARAMETERS,
)
