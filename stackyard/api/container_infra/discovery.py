# SPDX-License-Identifier: Apache-2.0
"""What this API is: its versions, its collections, its description for machines. Public; called through the table."""

from __future__ import annotations

from typing import Any

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra.views import links
from stackyard.api.versions import Range, text

PREFIX = "/container-infra"
NAMES = ("container-infrastructure-management", "container-infrastructure", "container-infra")
VERSIONS = Range(NAMES, (1, 1), (1, 14))
OPENAPI = "/v1/openapi.json"
COLLECTIONS = (
    "clustertemplates",
    "clusters",
    "quotas",
    "certificates",
    "mservices",
    "stats",
    "federations",
    "nodegroups",
    "credentials",
)
DOCUMENTATION = "http://docs.openstack.org/developer/magnum/dev/api-spec-v1.html"


def root(call: Call) -> Reply:
    """Tell the versions of this API."""
    version = {
        "id": "v1",
        "status": "CURRENT",
        "min_version": text(VERSIONS.lowest),
        "max_version": text(VERSIONS.highest),
        "links": [_itself(call)],
    }
    described = "Clusters of container engines: templates, clusters, node groups, certificates."
    data = {"name": "OpenStack Magnum API", "description": described, "versions": [version]}
    return Reply(data=data, headers=_described_by(call))


def collections(call: Call) -> Reply:
    """Tell the collections of v1."""
    media = [{"base": "application/json", "type": "application/vnd.openstack.magnum.v1+json"}]
    own = [_itself(call), {"rel": "describedby", "href": DOCUMENTATION, "type": "text/html"}]
    names = (*COLLECTIONS, *(("bays", "baymodels") if call.services.conf.api.bays else ()))
    data = {"id": "v1", "media_types": media, "links": own, **{name: _links(call, name) for name in names}}
    return Reply(data=data, headers=_described_by(call))


def _links(call: Call, name: str) -> list[dict[str, str]]:
    return links(call, "clusters/{cluster_id}/nodegroups" if name == "nodegroups" else f"{name}/")


def _itself(call: Call) -> dict[str, Any]:
    return {"rel": "self", "href": f"{call.url}/v1/"}


def _described_by(call: Call) -> dict[str, str]:
    """Return where machines find the description of this API (RFC 8631)."""
    return {"Link": f'<{call.url}{OPENAPI}>; rel="service-desc"; type="application/openapi+json"'}
