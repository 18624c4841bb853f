# SPDX-License-Identifier: Apache-2.0
"""Who may do what with clusters: upstream's names and defaults, but for certificates.

Upstream gives certificates to the user alone who made the cluster; here each member of the project gets its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from stackyard.api.policy import ADMIN, MEMBER, READER, Rule

RULES: tuple[Rule, ...] = (
    ("clustertemplate:create", MEMBER),
    ("clustertemplate:get", f"({READER}) or 'True':%(public)s"),
    ("clustertemplate:get_all", READER),
    ("clustertemplate:detail", READER),
    ("clustertemplate:update", MEMBER),
    ("clustertemplate:delete", MEMBER),
    ("clustertemplate:publish", ADMIN),
    ("clustertemplate:get_one_all_projects", ADMIN),
    ("clustertemplate:get_all_all_projects", ADMIN),
    ("clustertemplate:detail_all_projects", ADMIN),
    ("clustertemplate:update_all_projects", ADMIN),
    ("clustertemplate:delete_all_projects", ADMIN),
    ("cluster:create", MEMBER),
    ("cluster:get", READER),
    ("cluster:get_all", READER),
    ("cluster:detail", READER),
    ("cluster:update", MEMBER),
    ("cluster:update_health_status", f"({ADMIN}) or (rule:project_member and rule:is_user)"),
    ("cluster:resize", MEMBER),
    ("cluster:upgrade", MEMBER),
    ("cluster:delete", MEMBER),
    ("cluster:get_one_all_projects", ADMIN),
    ("cluster:get_all_all_projects", ADMIN),
    ("cluster:detail_all_projects", ADMIN),
    ("cluster:update_all_projects", ADMIN),
    ("cluster:upgrade_all_projects", ADMIN),
    ("cluster:delete_all_projects", ADMIN),
    ("nodegroup:create", MEMBER),
    ("nodegroup:get", READER),
    ("nodegroup:get_all", READER),
    ("nodegroup:update", MEMBER),
    ("nodegroup:delete", MEMBER),
    ("nodegroup:get_one_all_projects", ADMIN),
    ("nodegroup:get_all_all_projects", ADMIN),
    ("certificate:get", READER),
    ("certificate:create", MEMBER),
    ("certificate:rotate_ca", MEMBER),
    ("credential:rotate", MEMBER),
    ("quota:create", ADMIN),
    ("quota:get", READER),
    ("quota:get_all", ADMIN),
    ("quota:update", ADMIN),
    ("quota:delete", ADMIN),
    ("magnum-service:get_all", ADMIN),
    ("stats:get_all", READER),
    ("federation:create", MEMBER),
    ("federation:get", READER),
    ("federation:get_all", READER),
    ("federation:detail", READER),
    ("federation:update", MEMBER),
    ("federation:delete", MEMBER),
    ("offer:get_all", READER),
)

EVERYWHERE: Mapping[str, str] = {
    **{
        f"{noun}:{verb}": f"{noun}:{verb}_all_projects"
        for noun, verbs in {
            "clustertemplate": ("get_all", "detail", "update", "delete"),
            "cluster": ("get_all", "detail", "update", "upgrade", "delete"),
            "nodegroup": ("get_all",),
        }.items()
        for verb in verbs
    },
    **{f"{noun}:get": f"{noun}:get_one_all_projects" for noun in ("clustertemplate", "cluster", "nodegroup")},
}
"""What admins need besides, since they see all projects."""
