# SPDX-License-Identifier: Apache-2.0
"""What stories begin with: a template and a cluster of it."""

from __future__ import annotations

from typing import Any

from tests.oracle.story import Ask, Story, reach

TEMPLATES, CLUSTERS = "/v1/clustertemplates", "/v1/clusters"
PLAIN = {
    "coe": "kubernetes",
    "image_id": "node",
    "flavor_id": "small",
    "master_flavor_id": "small",
    "external_network_id": "public",
}


def template(name: str = "t", who: str = "member", **more: Any) -> Ask:
    """Return the request that makes a template, kept under its name."""
    return Ask("POST", TEMPLATES, {**PLAIN, "name": name} | more, who, keep=name)


def cluster(of: str = "c", /, who: str = "member", version: str | None = "1.10", **more: Any) -> Ask:
    """Return the request that makes a cluster of template `t`, kept under its name."""
    return Ask("POST", CLUSTERS, {"name": of, "cluster_template_id": "$t"} | more, who, version, keep=of)


def ready(**more: Any) -> Story:
    """Return how a cluster `c` comes to be there, complete."""
    return [template(), cluster(**more), reach("c")]


def patch(path: str, *changes: Any, version: str | None = "latest", who: str = "member") -> Ask:
    """Return a PATCH of changes, each `(op, path)` or `(op, path, value)`."""
    names = ("op", "path", "value")
    return Ask("PATCH", path, [dict(zip(names, change, strict=False)) for change in changes], who, version)


def get(path: str, version: str | None = None, who: str = "member") -> Ask:
    """Return a GET."""
    return Ask("GET", path, None, who, version)
