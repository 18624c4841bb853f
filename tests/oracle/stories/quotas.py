# SPDX-License-Identifier: Apache-2.0
"""Quotas: administrators set them, projects read their own."""

from __future__ import annotations

from typing import Any

from tests.oracle.stories.furniture import cluster, get, template
from tests.oracle.story import Ask, Story

QUOTAS = "/v1/quotas"
WRONG: tuple[Any, ...] = (
    {},
    {"project_id": "", "resource": "Cluster", "hard_limit": 1},
    {"project_id": "id-demo", "resource": "Node", "hard_limit": 1},
    {"project_id": "id-demo", "resource": "Cluster", "hard_limit": -1},
    {"project_id": "id-demo", "resource": "Cluster", "hard_limit": "x"},
    {"project_id": "id-demo", "resource": "Cluster", "hard_limit": "5"},
    {"project_id": "id-demo", "resource": "Cluster", "hard_limit": None},
    {"project_id": "id-demo", "resource": "Cluster", "unknown": 1},
    {"project_id": "id-demo", "resource": "Cluster", "id": 7},
    {"resource": "Cluster", "hard_limit": 1},
    [],
)


def _made(project: str, limit: int = 5, who: str = "admin") -> Ask:
    return Ask("POST", QUOTAS, {"project_id": project, "resource": "Cluster", "hard_limit": limit}, who)


STORIES: dict[str, Story] = {
    "none": [
        *(get(f"{QUOTAS}/id-demo/Cluster", who=who) for who in ("member", "reader", "other", "admin", "nothing")),
        get(f"{QUOTAS}/id-demo/Node"),
        get(f"{QUOTAS}/id-demo/Node", who="admin"),
        *(get(QUOTAS, who=who) for who in ("member", "reader", "admin")),
        get(f"{QUOTAS}?all_tenants=True", who="admin"),
        Ask("PATCH", f"{QUOTAS}/id-demo/Cluster", {"hard_limit": 3}, "admin"),
        Ask("DELETE", f"{QUOTAS}/id-demo/Cluster", None, "admin"),
    ],
    "made": [
        *(_made("id-demo", who=who) for who in ("member", "reader")),
        _made("id-demo"),
        _made("id-demo", 6),
        _made("id-other"),
        _made("id-ops"),
        *(get(f"{QUOTAS}{path}", who="admin") for path in ("", "?all_tenants=True", "?all_tenants=false", "?limit=1")),
        *(
            get(f"{QUOTAS}?all_tenants=True&{query}", who="admin")
            for query in ("limit=2", "sort_key=hard_limit", "sort_dir=desc", "marker=2", "limit=0", "marker=99")
        ),
        get(f"{QUOTAS}/id-demo/Cluster", who="member"),
        get(f"{QUOTAS}/id-demo/Cluster", who="admin"),
        *(
            Ask("PATCH", f"{QUOTAS}/id-demo/Cluster", body, "admin")
            for body in (
                {"hard_limit": 7},
                {"hard_limit": -1},
                {"hard_limit": "x"},
                {"unknown": 1},
                {"project_id": "id-demo", "resource": "Cluster", "hard_limit": 8},
                [{"op": "replace", "path": "/hard_limit", "value": 9}],
                {},
            )
        ),
        Ask("PATCH", f"{QUOTAS}/id-demo/Cluster", {"hard_limit": 9}),
        get(f"{QUOTAS}/id-demo/Cluster"),
        Ask("DELETE", f"{QUOTAS}/id-demo/Cluster"),
        Ask("DELETE", f"{QUOTAS}/id-demo/Cluster", None, "admin"),
        get(f"{QUOTAS}/id-demo/Cluster"),
    ],
    "wrong values": [Ask("POST", QUOTAS, wrong, "admin") for wrong in WRONG],
    "no such project": [_made("nowhere")],
    "kept": [
        _made("id-demo", 1),
        template(),
        cluster("c"),
        cluster("d"),
        Ask("PATCH", f"{QUOTAS}/id-demo/Cluster", {"hard_limit": 2}, "admin"),
        cluster("d"),
        Ask("PATCH", f"{QUOTAS}/id-demo/Cluster", {"hard_limit": 0}, "admin"),
        cluster("e"),
    ],
    "versions": [get(f"{QUOTAS}/id-demo/Cluster", version) for version in ("1.1", "1.5", "1.6", "latest")],
}
