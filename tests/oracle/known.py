# SPDX-License-Identifier: Apache-2.0
"""The differences from Magnum that are meant. Why they are is told in docs/compatibility/container-infra.md.

`row` is how the row of that document begins; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import re

from tests.oracle.answers import Difference
from tests.oracle.story import Ask


@dataclasses.dataclass(frozen=True)
class Known:
    """Differences that a row of the document tells of: all whose parts fit the patterns as a whole.

    `asked` is of the request with its body, `theirs` and `ours` of Python's spelling of the values.
    """

    row: str
    where: str
    asked: str = ".*"
    theirs: str = ".*"
    ours: str = ".*"
    story: str = ".*"

    def tells_of(self, story: str, ask: Ask, difference: Difference) -> bool:
        """Say whether this is the difference."""
        pairs = (
            (self.story, story),
            (self.asked, f"{ask} {ask.body!r}"),
            (self.where, difference.where),
            (self.theirs, repr(difference.theirs)),
            (self.ours, repr(difference.ours)),
        )
        return all(re.fullmatch(pattern, text, re.DOTALL) for pattern, text in pairs)


NEW = r"(status|header Location)"
"""What differs when one makes something and the other does not."""

KNOWN: tuple[Known, ...] = (
    # --- the front
    Known("every answer has the version headers", r"header (OpenStack-API-.*|Vary)", theirs="nothing"),
    Known("every answer has the version headers", "header X-OpenStack-Request-Id", theirs="nothing"),
    Known(
        "an unsupported version is answered",
        "header OpenStack-API-Version",
        story="discovery: (header.*|unknown paths)",
    ),
    Known("an unsupported version is answered", r"body\.errors\[\]\.(code|title|detail)", story="discovery: .*header"),
    Known("names of services in the version header", "status", theirs="406", ours="200", story="discovery: .*header"),
    Known("the description at `/`", r"body\.description"),
    Known("what is not there is 404", "status", theirs="40[05]", ours="40[45]", story="discovery: unknown .*"),
    Known("what is not there is 404", "status", theirs="400", ours="404", asked="GET /v1/clusters/%2F .*"),
    Known("every path may end in a slash", "status", theirs="404", ours="200", story="discovery: trailing slashes"),
    Known("`Accept` is not looked at", "status", theirs="406", ours="200", story="discovery: accept"),
    Known("a parameter that is given twice", "status", theirs="400", ours="200", asked=".*limit=1&limit=2.*"),
    # --- bodies
    Known("malformed bodies are 400", "status", theirs="500", ours="400"),
    Known("malformed bodies are 400", "status", theirs="415", ours="400"),
    Known("malformed bodies are 400", r"body\.errors\[\]\.(code|title|detail)", asked=r".*xff.*"),
    Known(
        "numbers and booleans are JSON's own",
        NEW,
        theirs="(201|202|'/v1.*')",
        ours="(400|nothing)",
        asked=r".*'(apiserver_port|docker_volume_size|registry_enabled|node_count)': ('\d+'|1\.5|'yes'|'true'|1)\W.*",
    ),
    Known('null means "not given"', NEW, theirs="(400|500|nothing)", ours="(201|202|'/v1.*')", asked=r".*': None\W.*"),
    Known("`create_timeout: null` is 60", r"body\.create_timeout", theirs="None", ours="60"),
    Known(
        "read-only fields",
        NEW,
        theirs="(20[12]|'/v1.*')",
        ours="(400|nothing)",
        asked=r".*'(uuid|status|health_status|cluster_id|is_default|pem|id)': .*",
    ),
    Known(
        "JSON patch `add` on what is there", "status", theirs="400", ours="20[02]", asked=r"PATCH .*('op': 'add'|~1).*"
    ),
    Known("removed labels are `{}`", r"body\.labels", story="templates: labels removed"),
    Known("`updated_at` is null until", r"body\.(clusters\[\]\.)?updated_at"),
    Known("a new node group is answered whole", r"body\..*", "POST .*nodegroups.*", theirs="nothing"),
    Known("the answer to a PATCH of a node group", r"body\.status", "PATCH .*nodegroups.*"),
    Known("`stack_id` and `cluster_id` are", r"body\.id", asked=".*nodegroups.*"),
    Known("`sort_key` takes what has a column", "status", theirs="200", ours="400", asked=".*sort_key=.*"),
    # --- engines and what requests may name
    Known("`coe` swarm, swarm-mode and docker", NEW, story="clusters: of other engines"),
    Known("a template with `coe: kubernetes` or `mesos`", NEW, asked=".*'coe': 'mesos'.*"),
    Known("`driver` is null unless", r"body\.(clustertemplates\[\]\.)?driver", theirs="'idle'", ours="None"),
    Known("an unknown image, flavor", "status", theirs="202", ours="400", asked=".*no-such-(image|flavor).*"),
    Known("templates and clusters may have no flavor", "status", theirs="400", story="clusters: of a poor template"),
    Known("every keypair name is accepted", "status", theirs="404", ours="202", asked=".*no-such-key.*"),
    Known("`docker_storage_driver: devicemapper`", NEW, theirs="(400|nothing)", asked=".*devicemapper.*"),
    Known("`tls_disabled: true`", "status", theirs="400", ours="202", story="certificates: without tls"),
    # --- clusters
    Known(
        "a cluster without a template",
        "status",
        theirs="404",
        ours="400",
        asked=r".*'cluster_template_id': (''|None)\W.*",
    ),
    Known("`nodes` (extension)", r"body\.(clusters\[\]\.)?nodes", theirs="nothing"),
    Known("`faults` are there in detailed lists", r"body\.clusters\[\]\.faults", theirs="nothing"),
    Known("every request that changes something is a retry", r"body\.node_count", story="clusters: failed"),
    Known("PATCH may set a dictionary", "status", "PATCH .*'value': {.*", theirs="400", ours="20[02]"),
    Known("PATCH takes `/name`", "status", theirs="400", ours="202", story="clusters: patched beyond Magnum"),
    Known("`default-master` can be resized", "status", theirs="400", ours="202", asked=".*default-master.*"),
    Known("what the state forbids is 409", "status", theirs="400", ours="409", story="certificates: rotated"),
    # --- node groups
    Known("lists of node groups tell", r"body\.nodegroups\[\]\.(min|max)_node_count"),
    Known("`node_labels` become labels", "status", asked="POST .*node_labels.*", theirs="409", ours="202"),
    Known("`node_taints` that are not empty", "status", asked=".*node_taints.*", ours="400"),
    Known("a group that is being deleted", r"body\.node_count", story="nodegroups: made"),
    Known("an object is looked for before", "status", theirs="403", ours="404", asked="DELETE .*nodegroups/g .*"),
    # --- certificates, credentials, quotas, federations, admins
    Known("every member of the project may have", "status", theirs="403", ours="20[01]", story="certificates: by whom"),
    Known("`PATCH /v1/credentials/<cluster>`", r"body\.status", story="certificates: credentials"),
    Known(
        "a quota of anything but clusters", "status", theirs="200", ours="404", asked="GET /v1/quotas/id-demo/Node.*"
    ),
    Known("`next` of quotas", r"body\.next", story="quotas: made"),
    Known("a quota that names no project", "status", theirs="40[49]", ours="400", story="quotas: wrong values"),
    Known("projects of quotas are not looked up", "status", theirs="404", ours="201", story="quotas: no such project"),
    Known("no federation can be made", "status", theirs="202", ours="400", story="others: federations"),
    Known(
        "admins may do all of this",
        "status",
        theirs="40[034]",
        asked=".* by admin.*",
        story="(policies|certificates): .*",
    ),
)


def known(story: str, ask: Ask, difference: Difference) -> Known | None:
    """Return the row that tells of a difference, if any does."""
    return next((each for each in KNOWN if each.tells_of(story, ask, difference)), None)
