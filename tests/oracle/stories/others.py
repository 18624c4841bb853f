# SPDX-License-Identifier: Apache-2.0
"""Numbers, services, federations."""

from __future__ import annotations

from tests.oracle.stories.furniture import cluster, get, ready, template
from tests.oracle.stories.templates import NONE
from tests.oracle.story import Ask, Order, Story

FEDERATIONS = "/v1/federations"
STORIES: dict[str, Story] = {
    "stats": [
        get("/v1/stats"),
        template(master_lb_enabled=True),
        cluster("c", node_count=2, master_count=3),
        cluster("d"),
        template("t", "other"),
        cluster("o", "other"),
        *(
            get(f"/v1/stats{query}", who=who)
            for who in ("member", "reader", "other", "admin", "nothing")
            for query in ("", "?project_id=id-demo", "?type=cluster", "?type=Cluster", "?type=node", "?project_id=")
        ),
        get("/v1/stats?unknown=1"),
        get("/v1/stats", "1.1"),
        get("/v1/stats", "1.4"),
    ],
    "services": [
        Order("beat"),
        *(get("/v1/mservices", who=who) for who in ("member", "reader", "admin")),
        get("/v1/mservices/", "latest", "admin"),
        get("/v1/mservices?limit=1", who="admin"),
    ],
    "federations": [
        *ready(),
        get(FEDERATIONS),
        get(f"{FEDERATIONS}/detail"),
        get(f"{FEDERATIONS}/{NONE}"),
        get(f"{FEDERATIONS}/nobody"),
        get(f"{FEDERATIONS}?limit=0"),
        get(f"{FEDERATIONS}?unknown=1"),
        Ask("POST", FEDERATIONS, {"name": "f", "hostcluster_id": "$c", "properties": {"dns-zone": "example.org"}}),
        Ask("POST", FEDERATIONS, {"name": "f", "hostcluster_id": NONE, "properties": {"dns-zone": "example.org"}}),
        Ask("POST", FEDERATIONS, {}),
        Ask("POST", FEDERATIONS, {"unknown": 1}),
        Ask("PATCH", f"{FEDERATIONS}/{NONE}", [{"op": "replace", "path": "/name", "value": "x"}]),
        Ask("DELETE", f"{FEDERATIONS}/{NONE}"),
        get(FEDERATIONS, who="admin"),
    ],
}
