# SPDX-License-Identifier: Apache-2.0
"""Clusters: create, change, resize and delete. Called by the container-infra API; the worker makes them real."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.intents import sizes
from stackyard.intents.nodegroups import begin, flavor, image, meant
from stackyard.intents.rules import CLUSTER, Rules, check_labels, deadline, page_of, visible, within
from stackyard.intents.templates import check_networks, generated_name
from stackyard.model import errors
from stackyard.model.clusters import MASTER, WORKER, Cluster, ClusterTemplate, NodeGroup
from stackyard.model.phase import Trigger
from stackyard.model.records import Caller
from stackyard.store import Page, Store, Transaction

FROM_TEMPLATE = (
    "docker_volume_size",
    "master_flavor_id",
    "flavor_id",
    "fixed_network",
    "fixed_subnet",
    "floating_ip_enabled",
    "master_lb_enabled",
)
TIMEOUT = 60

Groups = dict[str, list[NodeGroup]]


class Clusters:
    """Intents on clusters."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self.store = store
        self.rules = rules

    def list(self, caller: Caller, page: Page) -> tuple[list[Cluster], Groups]:
        """Return a page of clusters and the node groups of each; admins see all projects'."""
        with self.store.reading() as tx:
            clusters = page_of(tx.clusters, caller, page)
            return clusters, tx.nodegroups.of([cluster.id for cluster in clusters])

    def find(self, caller: Caller, ident: str) -> Cluster:
        """Return one by id or name; raises NotFound."""
        with self.store.reading() as tx:
            return visible(tx.clusters, caller, ident)

    def details(self, cluster: Cluster) -> tuple[Sequence[NodeGroup], ClusterTemplate]:
        """Return a cluster's node groups and the template that it was made of."""
        with self.store.reading() as tx:
            return tx.nodegroups.of([cluster.id])[cluster.id], tx.templates.get(cluster.template_id)

    def templates(self, clusters: Sequence[Cluster]) -> Mapping[str, ClusterTemplate]:
        """Return the templates that clusters were made of, by id."""
        ids = {cluster.template_id for cluster in clusters}
        with self.store.reading() as tx:
            found = [tx.templates.get(ids.pop())] if len(ids) == 1 else tx.templates.list()
            return {template.id: template for template in found}

    def totals(self, project_id: str | None) -> tuple[int, int]:
        """Return how many clusters and nodes a project has (None: all)."""
        with self.store.reading() as tx:
            counts = [group.node_count for group in tx.nodegroups.list(project_id)]
            return len(tx.clusters.list(project_id)), sum(counts)

    def create(self, caller: Caller, values: Mapping[str, Any]) -> Cluster:
        """Write a cluster with its two default groups; raises NotFound (template), BadInput, QuotaExceeded."""
        with self.store.transaction() as tx:
            template = _template(tx, caller, values["cluster_template_id"])
            cluster = _new(caller, template, values)
            self._check(cluster, values)
            groups = [self._default_group(cluster, template, values, role) for role in (MASTER, WORKER)]
            tx.quotas.take(caller.project_id, CLUSTER, self.rules.max_clusters)
            tx.clusters.insert(cluster)
            for group in groups:
                tx.nodegroups.insert(group)
            return cluster

    def update(self, caller: Caller, ident: str, values: Mapping[str, Any]) -> Cluster:
        """Change `name`, `labels`, `node_count` and `master_count`, whichever are given, at once.

        The default groups have the cluster's labels. Raises BadInput, and Conflict as `resize` does.
        """
        fields = {name: values[name] for name in ("name", "labels") if name in values}
        with self.store.transaction() as tx:
            cluster = visible(tx.clusters, caller, ident)
            check_labels(self.rules, cluster.coe, fields.get("labels", {}))
            message = f"change of {', '.join(sorted(values))} asked for"
            changed, groups = begin(tx, cluster, message, **fields)
            held = sizes.pins(tx, changed)
            for group in groups:
                if group.is_default:
                    _change_default(tx, changed, group, values, held)
            return changed

    def resize(
        self, caller: Caller, ident: str, count: int, group: str | None = None, leaving: Sequence[str] = ()
    ) -> Cluster:
        """Ask for another number of nodes in a group (default: the default workers), without those `leaving`.

        These are given by name, member id or address. Raises BadInput beyond the group's bounds and for nodes that
        it has not, Conflict when nodes that would have to go hold the volumes of applications.
        """
        with self.store.transaction() as tx:
            cluster = visible(tx.clusters, caller, ident)
            changed, groups = begin(tx, cluster, f"{group or 'default-worker'}: {count} nodes asked for")
            chosen = meant(groups, group)
            tx.nodegroups.save(sizes.resized(changed, chosen, count, leaving, sizes.pins(tx, changed)))
            return changed

    def delete(self, caller: Caller, ident: str) -> Cluster:
        """Ask for the cluster to go; raises Conflict while applications live on it."""
        with self.store.transaction() as tx:
            cluster = visible(tx.clusters, caller, ident)
            _check_empty(tx, cluster)
            return tx.clusters.change(cluster, Trigger.DELETE, "delete asked for", deadline=deadline(cluster))

    def signed(self, caller: Caller, cluster: Cluster) -> None:
        """Write into the cluster's history that a certificate was signed for the caller."""
        message = f"certificate signed for user {caller.user_name or caller.user_id}"
        with self.store.saving() as tx:
            tx.clusters.note(cluster, "certificate", message)

    def _check(self, cluster: Cluster, values: Mapping[str, Any]) -> None:
        if cluster.coe not in self.rules.coes:
            have = ", ".join(sorted(self.rules.coes))
            raise errors.BadInput(
                f"no driver for {cluster.coe} clusters here; use a template whose coe is one of: {have}"
            )
        masters = count_of(values, "master_count")
        sizes.check_masters(masters)
        if masters > 1 and not cluster.attributes.get("master_lb_enabled"):
            raise errors.BadInput("master_count must be 1 when master_lb_enabled is false")
        check_networks(self.rules, cluster.attributes)
        check_labels(self.rules, cluster.coe, cluster.labels)

    def _default_group(
        self, cluster: Cluster, template: ClusterTemplate, values: Mapping[str, Any], role: str
    ) -> NodeGroup:
        master = role == MASTER
        size = cluster.attributes["docker_volume_size"]
        return NodeGroup(
            cluster_id=cluster.id,
            project_id=cluster.project_id,
            name=f"default-{role}",
            role=role,
            node_count=count_of(values, "master_count" if master else "node_count"),
            docker_volume_size=size if isinstance(size, int) else None,
            labels=cluster.labels,
            is_default=True,
            **image(self.rules, template.image_id),
            **flavor(self.rules, _text(cluster.attributes["master_flavor_id" if master else "flavor_id"])),
        )


def count_of(values: Mapping[str, Any], name: str) -> int:
    """Return a number of nodes; 1 where none or null was given."""
    return 1 if values.get(name) is None else int(values[name])


def _template(tx: Transaction, caller: Caller, ident: str) -> ClusterTemplate:
    template = visible(tx.templates, caller, ident)
    if template.hidden and not caller.is_admin:
        raise errors.Forbidden(f"cluster template '{ident}' is hidden")
    return template


def _new(caller: Caller, template: ClusterTemplate, values: Mapping[str, Any]) -> Cluster:
    timeout = values.get("create_timeout")
    timeout = TIMEOUT if timeout is None else timeout
    attributes = {name: _either(values, template, name) for name in FROM_TEMPLATE}
    attributes["discovery_url"] = values.get("discovery_url")
    return Cluster(
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=values.get("name") or generated_name("cluster"),
        template_id=template.id,
        coe=template.coe,
        keypair=values.get("keypair") or _text(template.attributes.get("keypair_id")),
        labels=_labels(template, values),
        attributes=attributes,
        create_timeout=timeout,
        deadline=within(timeout * 60) if timeout else None,
    )


def _either(values: Mapping[str, Any], template: ClusterTemplate, name: str) -> object:
    given = values.get(name)
    return template.attributes.get(name) if given is None else given


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _labels(template: ClusterTemplate, values: Mapping[str, Any]) -> dict[str, str]:
    given = values.get("labels")
    if not given:
        return dict(template.labels)
    return {**template.labels, **given} if values.get("merge_labels") else dict(given)


def _change_default(
    tx: Transaction, cluster: Cluster, group: NodeGroup, values: Mapping[str, Any], held: sizes.Pins
) -> None:
    """Bring one of the default groups to a change of its cluster."""
    count = values.get("master_count" if group.role == MASTER else "node_count")
    changed = group if count is None else sizes.resized(cluster, group, count, (), held)
    if "labels" in values:
        changed = dataclasses.replace(changed, labels=cluster.labels, **sizes.moved(changed, Trigger.CHANGE))
    if changed is not group:
        tx.nodegroups.save(changed)


def _check_empty(tx: Transaction, cluster: Cluster) -> None:
    apps = [deployment.name for deployment in tx.deployments.list(None, cluster_id=cluster.id)]
    if apps:
        raise errors.Conflict(
            f"applications run on cluster {cluster.name}: {', '.join(sorted(apps)[:10])}. "
            "Destroy them first: stackyard destroy APP"
        )
