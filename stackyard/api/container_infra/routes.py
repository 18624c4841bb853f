# SPDX-License-Identifier: Apache-2.0
"""The table of the container-infra API: which request goes where, who may send it, and how faults are told."""

from __future__ import annotations

from typing import Any

from stackyard.api.call import Body, Call, Family, Reply, Route
from stackyard.api.container_infra import certificates, clusters, clustertemplates, nodegroups, schemas, stats, views
from stackyard.api.faults import Fault
from stackyard.api.policy import ADMIN, MEMBER, READER, Rule
from stackyard.api.versions import Range

PREFIX = "/container-infra"
NAMES = ("container-infrastructure-management", "container-infrastructure", "container-infra")
PAGED = frozenset({"limit", "marker", "sort_key", "sort_dir"})
NO_QUERY: frozenset[str] = frozenset()
RESIZE, UPGRADE, GROUPS = (1, 7), (1, 8), (1, 9)
JSON = Body.JSON
CREATOR = f"({ADMIN}) or (role:member and project_id:%(project_id)s and user_id:%(user_id)s)"
CREATOR_READS = f"({ADMIN}) or ((role:reader or role:member) and project_id:%(project_id)s and user_id:%(user_id)s)"

RULES: tuple[Rule, ...] = (
    ("clustertemplate:create", MEMBER),
    ("clustertemplate:get", f"({READER}) or 'True':%(public)s"),
    ("clustertemplate:get_all", READER),
    ("clustertemplate:detail", READER),
    ("clustertemplate:update", MEMBER),
    ("clustertemplate:delete", MEMBER),
    ("clustertemplate:publish", ADMIN),
    ("cluster:create", MEMBER),
    ("cluster:get", READER),
    ("cluster:get_all", READER),
    ("cluster:detail", READER),
    ("cluster:update", MEMBER),
    ("cluster:resize", MEMBER),
    ("cluster:delete", MEMBER),
    ("nodegroup:create", MEMBER),
    ("nodegroup:get", READER),
    ("nodegroup:get_all", READER),
    ("nodegroup:update", MEMBER),
    ("nodegroup:delete", MEMBER),
    ("certificate:get", CREATOR_READS),
    ("certificate:create", CREATOR),
    ("stats:get_all", READER),
)


def root(call: Call) -> Reply:
    """Tell the versions of this API."""
    return Reply(data=views.versions(call, VERSIONS))


def platform(call: Call) -> Reply:
    """Tell the collections of v1."""
    return Reply(data=views.platform(call))


def fault(what: Fault) -> Reply:
    """Write a fault as Magnum does: an envelope of one error."""
    return Reply(what.status, {"errors": [_error(what)]})


def _error(what: Fault) -> dict[str, Any]:
    if what.versions:
        low, high = what.versions
        help_link = {"rel": "help", "href": "https://docs.openstack.org/api-guide/compute/microversions.html"}
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
NODEGROUPS, NODEGROUP = "/v1/clusters/{cluster}/nodegroups", "/v1/clusters/{cluster}/nodegroups/{nodegroup}"
CERTIFICATE = "/v1/certificates/{cluster}"
_TEMPLATE, _CLUSTER, _GROUP = clustertemplates.find, clusters.find, nodegroups.find

ROUTES: tuple[Route, ...] = (
    Route("GET", "", root, None),
    Route("GET", "/v1", platform, None),
    Route("GET", TEMPLATES, clustertemplates.index, "clustertemplate:get_all", query=PAGED),
    Route("GET", f"{TEMPLATES}/detail", clustertemplates.index, "clustertemplate:detail", query=PAGED),
    Route("POST", TEMPLATES, clustertemplates.create, "clustertemplate:create", None, schemas.TEMPLATE, JSON),
    Route("GET", TEMPLATE, clustertemplates.show, "clustertemplate:get", _TEMPLATE),
    Route("PATCH", TEMPLATE, clustertemplates.update, "clustertemplate:update", _TEMPLATE, schemas.PATCH, JSON),
    Route("DELETE", TEMPLATE, clustertemplates.delete, "clustertemplate:delete", _TEMPLATE),
    Route("GET", CLUSTERS, clusters.index, "cluster:get_all", query=PAGED),
    Route("GET", f"{CLUSTERS}/detail", clusters.detail, "cluster:detail", query=PAGED),
    Route("POST", CLUSTERS, clusters.create, "cluster:create", None, schemas.CLUSTER, JSON),
    Route("GET", CLUSTER, clusters.show, "cluster:get", _CLUSTER),
    Route("PATCH", CLUSTER, clusters.update, "cluster:update", _CLUSTER, schemas.PATCH, JSON),
    Route("DELETE", CLUSTER, clusters.delete, "cluster:delete", _CLUSTER),
    Route(
        "POST", f"{CLUSTER}/actions/resize", clusters.resize, "cluster:resize", _CLUSTER, schemas.RESIZE, JSON, RESIZE
    ),
    Route("GET", NODEGROUPS, nodegroups.index, "nodegroup:get_all", _CLUSTER, since=GROUPS, query=PAGED | {"role"}),
    Route("POST", NODEGROUPS, nodegroups.create, "nodegroup:create", _CLUSTER, schemas.NODEGROUP, JSON, GROUPS),
    Route("GET", NODEGROUP, nodegroups.show, "nodegroup:get", _GROUP, since=GROUPS),
    Route("PATCH", NODEGROUP, nodegroups.update, "nodegroup:update", _GROUP, schemas.PATCH, JSON, GROUPS),
    Route("DELETE", NODEGROUP, nodegroups.delete, "nodegroup:delete", _GROUP, since=GROUPS),
    Route("GET", CERTIFICATE, certificates.show, "certificate:get", _CLUSTER),
    Route("POST", "/v1/certificates", certificates.sign, "certificate:create", certificates.find, schemas.CSR, JSON),
    Route("GET", "/v1/stats", stats.show, "stats:get_all", query=frozenset({"project_id", "type"})),
)

VERSIONS = Range(NAMES, (1, 1), (1, 14))
FAMILY = Family("container-infra", PREFIX, ROUTES, fault, VERSIONS)
