# SPDX-License-Identifier: Apache-2.0
"""All stories by name: what both servers are asked."""

from __future__ import annotations

from tests.oracle.stories import certificates, clusters, discovery, nodegroups, others, policies, quotas, templates
from tests.oracle.story import Story

STORIES: dict[str, Story] = {
    f"{part.__name__.rpartition('.')[2]}: {name}": story
    for part in (discovery, templates, clusters, nodegroups, certificates, quotas, others, policies)
    for name, story in part.STORIES.items()
}
