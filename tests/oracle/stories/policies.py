# SPDX-License-Identifier: Apache-2.0
"""Who may do what: each kind of caller on each kind of object."""

from __future__ import annotations

from tests.oracle.stories.furniture import CLUSTERS, PLAIN, TEMPLATES, cluster, get, patch, ready, template
from tests.oracle.story import Ask, Story, reach

OTHERS = ("colleague", "reader", "nothing", "other", "admin")
GROUPS = f"{CLUSTERS}/$c/nodegroups"


def _all(who: str) -> Story:
    """Return every request of one caller on what `member` made, those that destroy at the end."""
    return [
        *(get(f"{TEMPLATES}{path}", who=who) for path in ("", "/detail", "/$t", "/t")),
        *(get(f"{CLUSTERS}{path}", who=who) for path in ("", "/detail", "/$c", "/c")),
        *(get(f"{GROUPS}{path}", "latest", who) for path in ("", "/default-worker")),
        Ask("POST", TEMPLATES, {**PLAIN, "name": "mine"}, who),
        Ask("POST", CLUSTERS, {"name": "mine", "cluster_template_id": "$t"}, who, "1.9"),
        Ask("POST", CLUSTERS, {"name": "mine", "cluster_template_id": "$t"}, who, "1.10"),
        patch(f"{TEMPLATES}/$t", ("replace", "/name", "t2"), who=who),
        patch(f"{CLUSTERS}/$c", ("replace", "/node_count", 2), who=who),
        reach("c"),
        Ask("POST", f"{CLUSTERS}/$c/actions/resize", {"node_count": 3}, who, "1.7"),
        reach("c"),
        Ask("POST", GROUPS, {"name": "g"}, who, "1.9"),
        reach("c"),
        patch(f"{GROUPS}/default-worker", ("replace", "/max_node_count", 9), who=who),
        reach("c"),
        Ask("DELETE", f"{GROUPS}/g", None, who, "1.9"),
        Ask("DELETE", f"{GROUPS}/default-worker", None, who, "1.9"),
        Ask("DELETE", f"{CLUSTERS}/$c", None, who),
        Ask("DELETE", f"{TEMPLATES}/$t", None, who),
    ]


STORIES: dict[str, Story] = {
    **{who: [*ready(), *_all(who)] for who in OTHERS},
    "admin among projects": [
        template(),
        cluster("c"),
        template("t", "other"),
        cluster("o", "other"),
        get(CLUSTERS, who="admin"),
        get(TEMPLATES, who="admin"),
        get(f"{TEMPLATES}/t", who="admin"),
        get(f"{CLUSTERS}/o", who="admin"),
        get(f"{CLUSTERS}?marker=$o", who="member"),
    ],
    "admin on another project's": [
        *ready(),
        patch(f"{TEMPLATES}/$t", ("replace", "/public", True), who="admin"),
        Ask("POST", f"{CLUSTERS}/$c/actions/resize", {"node_count": 3}, "admin", "1.7"),
    ],
    "publishing": [
        template("p", public=True),
        template("h", hidden=True),
        template("n"),
        patch(f"{TEMPLATES}/$n", ("replace", "/public", True)),
        patch(f"{TEMPLATES}/$n", ("replace", "/hidden", True)),
        template("a", "admin", public=True),
        patch(f"{TEMPLATES}/$a", ("replace", "/public", False), who="admin"),
        patch(f"{TEMPLATES}/$a", ("replace", "/hidden", True), who="admin"),
        get(f"{TEMPLATES}/$a"),
        get(f"{TEMPLATES}/$a", who="admin"),
    ],
}
