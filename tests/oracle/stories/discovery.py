# SPDX-License-Identifier: Apache-2.0
"""Versions, their header, paths that lead nowhere, and bodies that are none."""

from __future__ import annotations

from tests.oracle.stories.furniture import CLUSTERS, TEMPLATES, get, template
from tests.oracle.story import Ask, Story

HEADERS = (
    "1.1",
    "1.9",
    "1.14",
    "latest",
    "container-infra latest",
    "container-infrastructure latest",
    "container-infrastructure-management latest",
    "container-infrastructure-management 1.7",
    "Container-Infra 1.2",
    "1.0",
    "1.15",
    "1.999",
    "2.1",
    "0.1",
    "compute 2.1",
    "container-infra 1",
    "container-infra 1.a",
    "container-infra one",
    "container-infra 1.9 more",
    "container-infra 1.01",
    "container-infra -1.9",
    "container-infra LATEST",
)
PATHS = (
    "/v2",
    "/v1/nothing",
    "/v1/bays",
    "/v1/baymodels",
    "/v1/clusters/none/none",
    "/v1/clusters/none/none/none",
    "/v1/clusters/none/actions",
    "/v1/clusters/none/actions/resize",
    "/v1/clusters/none/actions/explode",
    "/v1/certificates",
    "/v1/certificates/",
    "/v1/credentials",
    "/v1/credentials/none",
    "/v1/quotas/id-demo",
    "/v1/clusters/detail/more",
    "/v1/clustertemplates/detail/more",
    "/v1/clustertemplates/none/detail",
    "/v1/stats/more",
    "/v1/mservices/1",
)

STORIES: dict[str, Story] = {
    "front": [Ask("GET", path) for path in ("/", "", "/v1", "/v1/")],
    "header": [Ask("GET", CLUSTERS, version=header) for header in HEADERS],
    "bare header": [
        Ask("GET", CLUSTERS, headers={"OpenStack-API-Version": text}) for text in ("1.9", "latest", "", "1")
    ],
    "header at the front": [Ask("GET", "/", version="1.99"), Ask("GET", "/v1", version="1.99")],
    "old header": [Ask("GET", CLUSTERS, headers={"X-OpenStack-Magnum-API-Version": "1.9"})],
    "no version in the path": [template(), *(get(path) for path in ("/clusters", "/clustertemplates", "/nothing"))],
    "trailing slashes": [
        template(),
        *(get(f"{path}/") for path in (TEMPLATES, f"{TEMPLATES}/detail", f"{TEMPLATES}/$t", CLUSTERS, "/v1/stats")),
        get(f"{CLUSTERS}/?limit=5"),
    ],
    "unknown paths": [get(path, "latest") for path in PATHS],
    "unknown methods": [
        *(Ask(method, CLUSTERS) for method in ("PUT", "PATCH", "DELETE")),
        *(Ask(method, f"{CLUSTERS}/x") for method in ("PUT", "POST")),
        *(Ask(method, TEMPLATES) for method in ("PUT", "PATCH", "DELETE")),
        *(Ask(method, "/v1/stats") for method in ("PUT", "POST", "PATCH", "DELETE")),
        *(Ask(method, "/v1/mservices", who="admin") for method in ("PUT", "POST", "PATCH", "DELETE")),
        Ask("DELETE", "/v1/certificates/x"),
        Ask("PUT", "/v1/certificates/x"),
        Ask("POST", "/"),
        Ask("POST", "/v1"),
    ],
    "bodies that are none": [
        *(Ask("POST", TEMPLATES, body) for body in (b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"{}")),
        *(Ask("POST", CLUSTERS, body) for body in (b"", b"{", b"[]", b"null", b"3", b"{}")),
        Ask("POST", TEMPLATES, b'{"coe":"kubernetes"}', headers={"Content-Type": "text/plain"}),
        Ask("POST", TEMPLATES, b"coe=kubernetes", headers={"Content-Type": "application/x-www-form-urlencoded"}),
        Ask("POST", TEMPLATES, b"<a/>", headers={"Content-Type": "application/xml"}),
        Ask("POST", TEMPLATES, {"coe": "kubernetes"}, headers={"Content-Type": "application/json; charset=utf-8"}),
    ],
    "accept": [
        Ask("GET", CLUSTERS, headers={"Accept": kind})
        for kind in ("application/json", "*/*", "", "text/html", "application/xml", "text/html, application/json")
    ],
}
