# SPDX-License-Identifier: Apache-2.0
"""Clusters, their templates and node groups."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import sqlalchemy as sa

from stackyard.model.clusters import Cluster, ClusterTemplate, NodeGroup
from stackyard.store import tables
from stackyard.store.mapping import mapper
from stackyard.store.records import Repository, Scheduled


class Clusters(Scheduled[Cluster]):
    """Rows of clusters."""

    word = "cluster"
    mapper = mapper(Cluster, tables.clusters, observed=frozenset({"observed", "secrets"}))

    def upgraded(self, cluster: Cluster) -> None:
        """Write that the template asked for is reached, unless the wish has changed since `cluster` was read."""
        table = self.table
        reached = dataclasses.replace(cluster, template_id=cluster.upgrade_to or cluster.template_id, upgrade_to=None)
        values = {"template_id": reached.template_id, "intent": self.mapper.document("intent", reached)}
        same = (table.c.id == cluster.id, table.c.generation == cluster.generation)
        self.connection.execute(table.update().where(*same).values(**values))

    def hasten_deployments(self, cluster_id: str) -> None:
        """Make what runs on a cluster due now, since its nodes have changed."""
        table = tables.deployments
        self.connection.execute(table.update().where(table.c.cluster_id == cluster_id).values(due=time.time()))


class Templates(Repository[ClusterTemplate]):
    """Rows of cluster templates; public ones are everybody's."""

    word = "cluster template"
    mapper = mapper(ClusterTemplate, tables.cluster_templates)

    def within(self, project_id: str | None) -> list[sa.ColumnElement[bool]]:
        """Return own rows and public ones that are not hidden."""
        table = tables.cluster_templates
        if project_id is None:
            return []
        return [sa.or_(table.c.project_id == project_id, sa.and_(table.c.public, sa.not_(table.c.hidden)))]

    def save(self, template: ClusterTemplate) -> None:
        """Overwrite the row."""
        table = self.table
        self.connection.execute(table.update().where(table.c.id == template.id).values(**self.mapper.to_row(template)))


class NodeGroups(Repository[NodeGroup]):
    """Rows of node groups."""

    word = "nodegroup"
    mapper = mapper(NodeGroup, tables.nodegroups)

    def of(self, cluster_ids: Sequence[str]) -> dict[str, list[NodeGroup]]:
        """Return the groups of each cluster, in one query."""
        found: dict[str, list[NodeGroup]] = {cluster_id: [] for cluster_id in cluster_ids}
        if found:
            # One cluster, or "all": thousands of ids would go beyond the databases' limits on parameters.
            few = [self.table.c.cluster_id.in_(cluster_ids)] if len(cluster_ids) <= 100 else []
            for group in self.select(*few):
                if group.cluster_id in found:
                    found[group.cluster_id].append(group)
        return found

    def save(self, group: NodeGroup) -> None:
        """Overwrite the row."""
        table = self.table
        self.connection.execute(table.update().where(table.c.id == group.id).values(**self.mapper.to_row(group)))
