# SPDX-License-Identifier: Apache-2.0
"""Clusters: making, showing, patching, resizing, upgrading, deleting."""

from __future__ import annotations

from typing import Any

from tests.oracle.stories.furniture import CLUSTERS, PLAIN, TEMPLATES, cluster, get, patch, ready, template
from tests.oracle.stories.templates import NONE
from tests.oracle.story import Ask, Story, fail, reach

WRONG: tuple[dict[str, Any], ...] = (
    {"name": ""},
    {"name": "1a"},
    {"name": "a b"},
    {"name": "a" * 243},
    {"name": "-a"},
    {"name": 5},
    {"node_count": -1},
    {"node_count": "2"},
    {"node_count": "two"},
    {"node_count": 1.5},
    {"node_count": None},
    {"master_count": 0},
    {"master_count": -1},
    {"master_count": 2},
    {"master_count": 3},
    {"master_count": None},
    {"master_count": 2, "master_lb_enabled": True},
    {"docker_volume_size": 0},
    {"docker_volume_size": "x"},
    {"create_timeout": -1},
    {"create_timeout": "x"},
    {"labels": "a"},
    {"labels": {"example.org/a": []}},
    {"merge_labels": "maybe"},
    {"flavor_id": "no-such-flavor"},
    {"master_flavor_id": "no-such-flavor"},
    {"fixed_network": "no-such-network"},
    {"fixed_subnet": "no-such-subnet"},
    {"keypair": "no-such-key"},
    {"keypair": ""},
    {"cluster_template_id": ""},
    {"cluster_template_id": None},
    {"cluster_template_id": 5},
    {"unknown": 1},
    {"uuid": "no-id"},
    {"status": "CREATE_COMPLETE"},
    {"stack_id": "x"},
    {"api_address": "x"},
    {"project_id": "id-other"},
    {"node_addresses": []},
    {"health_status": "HEALTHY"},
    {"coe_version": "1"},
    {"links": []},
)
RIGHT: tuple[dict[str, Any], ...] = (
    {},
    {"node_count": 0},
    {"node_count": 3, "master_count": 3, "master_lb_enabled": True},
    {"keypair": "mine"},
    {"keypair": None, "discovery_url": None},
    {"docker_volume_size": 9},
    {"create_timeout": 0},
    {"create_timeout": None},
    {"create_timeout": 5},
    {"flavor_id": "medium", "master_flavor_id": "medium"},
    {"flavor_id": None},
    {"fixed_network": "private"},
    {"floating_ip_enabled": False},
    {"master_lb_enabled": True},
    {"labels": {"example.org/n": 5, "example.org/f": False}},
    {"labels": {"example.org/n": "5"}, "merge_labels": True},
    {"labels": {}},
    {"labels": None},
    {"discovery_url": "http://discovery"},
)
PATCHES = (
    (("replace", "/node_count", 2),),
    (("remove", "/node_count"),),
    (("replace", "/node_count", "2"),),
    (("replace", "/node_count", -1),),
    (("replace", "/node_count", None),),
    (("replace", "/node_count", 0),),
    (("replace", "/node_count", 1.5),),
    (("replace", "/cluster_template_id", NONE),),
    (("replace", "/status", "CREATE_COMPLETE"),),
    (("replace", "/uuid", NONE),),
    (("replace", "/api_address", "x"),),
    (("replace", "/health_status", "UNHEALTHY"),),
    (("replace", "/health_status", "SICK"),),
    (("replace", "/health_status_reason", "{'api': 'no'}"),),
    (("replace", "/health_status_reason", "no"),),
    (("remove", "/health_status"),),
    (("replace", "/nothing", 1),),
    (("remove", "/nothing"),),
    (("remove", "/name"),),
    (("move", "/node_count", 2),),
)
BEYOND = (
    (("add", "/node_count", 3),),
    (("replace", "/name", "other"),),
    (("replace", "/labels", {"example.org/a": "b"}),),
    (("add", "/labels/example.org~1c", "d"),),
    (("replace", "/master_count", 3),),
    (("replace", "/health_status_reason", {"api": "no"}),),
)
RESIZES: tuple[Any, ...] = (
    {"node_count": 2},
    {"node_count": 3, "nodes_to_remove": None, "nodegroup": None},
    {"node_count": 2, "nodegroup": "default-worker"},
    {"node_count": 0},
    {},
    {"node_count": -1},
    {"node_count": None},
    {"node_count": 2, "nodegroup": "none"},
    {"node_count": 2, "nodes_to_remove": "x"},
    {"node_count": 2, "unknown": 1},
    [],
)
UPGRADES: tuple[Any, ...] = (
    {},
    {"cluster_template": NONE},
    {"cluster_template": "nobody"},
    {"cluster_template": "$u", "max_batch_size": 0},
    {"cluster_template": "$u", "max_batch_size": "x"},
    {"cluster_template": "$u", "nodegroup": "none"},
    {"cluster_template": "$u", "unknown": 1},
    {"cluster_template": "$u", "max_batch_size": None, "nodegroup": None},
)

STORIES: dict[str, Story] = {
    "life": [
        template(labels={"example.org/a": "b"}),
        cluster(),
        *(get(path, "latest") for path in (f"{CLUSTERS}/$c", f"{CLUSTERS}/c", CLUSTERS, f"{CLUSTERS}/detail")),
        reach("c"),
        *(get(f"{CLUSTERS}/c", version) for version in ("1.1", "1.8", "1.12", "1.13", "1.14")),
        *(get(f"{CLUSTERS}{path}", version) for path in ("", "/detail") for version in ("1.1", "1.12", "1.13")),
        Ask("DELETE", f"{CLUSTERS}/c", headers={"Content-Type": "application/octet-stream"}),
        get(f"{CLUSTERS}/c", "latest"),
        Ask("DELETE", f"{CLUSTERS}/c"),
    ],
    "by old versions": [
        template(),
        *(cluster(f"c{minor}", version=f"1.{minor}") for minor in (1, 2, 3, 9)),
        cluster("old", version=None),
        get(CLUSTERS),
    ],
    "what was asked": [
        template(labels={"example.org/a": "b", "example.org/n": "1"}, docker_volume_size=4, keypair_id="mine"),
        *(
            step
            for number, values in enumerate(RIGHT)
            for step in (cluster(f"c{number}", **values), get(f"{CLUSTERS}/$c{number}", "latest"))
        ),
    ],
    "of a poor template": [
        Ask("POST", TEMPLATES, {"coe": "kubernetes", "image_id": "node"}, keep="t"),
        cluster("c"),
        cluster("d", flavor_id="small", master_flavor_id="small"),
        get(f"{CLUSTERS}/d"),
    ],
    "unnamed": [
        template(),
        Ask("POST", CLUSTERS, {"cluster_template_id": "t"}, keep="c"),
        get(f"{CLUSTERS}/$c"),
    ],
    "wrong values": [template(), *(cluster("x", **wrong) for wrong in WRONG)],
    "wrong before 1.10": [
        template(),
        *(cluster("x", version="1.9", **wrong) for wrong in ({"node_count": 0}, {"master_count": 0})),
        *(
            Ask("POST", CLUSTERS, {"name": "x", "cluster_template_id": ident}, version=version)
            for ident in (NONE, "nobody")
            for version in (None, "1.9", "1.10", "latest")
        ),
        Ask("POST", CLUSTERS, {"name": "x"}),
    ],
    "same names": [
        template(),
        cluster("c"),
        cluster("c"),
        get(f"{CLUSTERS}/c"),
        Ask("DELETE", f"{CLUSTERS}/c"),
        patch(f"{CLUSTERS}/c", ("replace", "/node_count", 2)),
        Ask("POST", f"{CLUSTERS}/c/actions/resize", {"node_count": 2}, version="1.7"),
    ],
    "patched": [
        *ready(),
        *(step for changes in PATCHES for step in (patch(f"{CLUSTERS}/$c", *changes), reach("c"))),
        get(f"{CLUSTERS}/$c"),
    ],
    "patched beyond Magnum": [*ready(), *(patch(f"{CLUSTERS}/$c", *changes) for changes in BEYOND)],
    "resized beyond Magnum": [
        *ready(),
        Ask("POST", f"{CLUSTERS}/$c/actions/resize", {"node_count": "2"}, version="latest"),
        Ask(
            "POST", f"{CLUSTERS}/$c/actions/resize", {"node_count": 3, "nodegroup": "default-master"}, version="latest"
        ),
    ],
    "patched in old versions": [
        *ready(),
        patch(f"{CLUSTERS}/$c", ("replace", "/node_count", 0), version="1.9"),
        patch(f"{CLUSTERS}/$c", ("replace", "/node_count", 2), version=None),
        get(f"{CLUSTERS}/$c"),
        reach("c"),
        get(f"{CLUSTERS}/$c"),
        patch(f"{CLUSTERS}/c/?rollback=True", ("replace", "/node_count", 3), version="1.3"),
        reach("c"),
        patch(f"{CLUSTERS}/$c?rollback=False", ("replace", "/node_count", 4), version="1.2"),
        patch(f"{CLUSTERS}/$c?rollback=maybe", ("replace", "/node_count", 4), version="1.3"),
        patch(f"{CLUSTERS}/$c?unknown=1", ("replace", "/node_count", 4), version="1.3"),
        Ask("PATCH", f"{CLUSTERS}/$c", {"node_count": 5}),
        Ask("PATCH", f"{CLUSTERS}/{NONE}", {"node_count": 5}),
        Ask("PATCH", f"{CLUSTERS}/$c", []),
        Ask("PATCH", f"{CLUSTERS}/$c", b""),
        patch(f"{CLUSTERS}/{NONE}", ("replace", "/node_count", 2)),
        patch(f"{CLUSTERS}/nobody", ("replace", "/node_count", 2)),
    ],
    "resized": [
        *ready(),
        *(
            step
            for body in RESIZES
            for step in (Ask("POST", f"{CLUSTERS}/$c/actions/resize", body, version="latest"), reach("c"))
        ),
        get(f"{CLUSTERS}/$c"),
        *(Ask("POST", f"{CLUSTERS}/c/actions/resize", {"node_count": 0}, version=v) for v in ("1.6", "1.7", "1.9")),
        Ask("POST", f"{CLUSTERS}/{NONE}/actions/resize", {"node_count": 1}, version="1.7"),
        Ask("POST", f"{CLUSTERS}/nobody/actions/resize", {}, version="1.7"),
        Ask("POST", f"{CLUSTERS}/$c/actions/resize", {"node_count": 5}, version="1.7"),
        get(f"{CLUSTERS}/$c"),
        Ask("POST", f"{CLUSTERS}/$c/actions/resize", {"node_count": 1}, version="1.7"),
    ],
    "upgraded": [
        *ready(),
        template("u"),
        *(Ask("POST", f"{CLUSTERS}/$c/actions/upgrade", {"cluster_template": "$u"}, version=f"1.{n}") for n in (6, 7)),
        *(Ask("POST", f"{CLUSTERS}/$c/actions/upgrade", body, version="1.8") for body in UPGRADES[:-1]),
        Ask("POST", f"{CLUSTERS}/{NONE}/actions/upgrade", {"cluster_template": "$u"}, version="1.8"),
        Ask("POST", f"{CLUSTERS}/$c/actions/upgrade", UPGRADES[-1], version="1.8"),
        get(f"{CLUSTERS}/$c"),
    ],
    "failed": [
        template(),
        cluster(),
        fail("c"),
        *(get(f"{CLUSTERS}{path}", "latest") for path in ("/c", "", "/detail")),
        patch(f"{CLUSTERS}/c", ("replace", "/node_count", 2)),
        Ask("DELETE", f"{CLUSTERS}/c"),
        get(f"{CLUSTERS}/c"),
    ],
    "gone": [
        *(get(f"{CLUSTERS}/{ident}") for ident in (NONE, "nobody", "a b", "%00", "%2F")),
        *(Ask("DELETE", f"{CLUSTERS}/{ident}") for ident in (NONE, "nobody")),
    ],
    "full quota": [
        template(),
        *(cluster(f"c{number}") for number in range(21)),
        get(f"{CLUSTERS}?limit=30"),
        template("u", "other"),
        Ask("POST", CLUSTERS, {"name": "o", "cluster_template_id": "u"}, "other", "1.10"),
    ],
    "pages": [
        template(),
        *(cluster(name) for name in ("b", "a", "d")),
        *(
            get(f"{CLUSTERS}?{query}", "latest")
            for query in (
                "limit=2",
                "limit=3",
                "limit=2&marker=$a",
                "limit=1&sort_key=name",
                "sort_key=name&sort_dir=desc&limit=2&marker=$b",
                "limit=0",
                "limit=x",
                "sort_dir=up",
                "sort_key=nothing",
                "sort_key=status",
                "sort_key=node_count",
                "sort_key=keypair",
                "sort_key=project_id",
                "sort_key=create_timeout",
                "sort_key=health_status",
                "sort_key=cluster_template_id",
                f"marker={NONE}",
                "marker=nobody",
                "unknown=1",
                "status=CREATE_COMPLETE",
            )
        ),
        get(f"{CLUSTERS}/detail?limit=1"),
        get(f"{CLUSTERS}/?limit=1"),
    ],
    "of other engines": [
        Ask("POST", TEMPLATES, {**PLAIN, "coe": coe, "name": coe}, keep=coe)
        for coe in ("swarm", "swarm-mode", "docker")
    ],
}
