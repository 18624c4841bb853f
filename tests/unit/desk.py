# SPDX-License-Identifier: Apache-2.0
"""Intents on a store of their own, for tests of the rules; what the worker would do is done here by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

from stackyard.intents import Intents
from stackyard.intents.rules import DRIVERS
from stackyard.model.clusters import Cluster, ClusterObserved, Node, node_name, numbers
from stackyard.model.offers import Flavor, Image, Offers
from stackyard.model.phase import Phase
from stackyard.model.records import Caller
from stackyard.store import Store

ANN = Caller("ann", "demo", frozenset({"member"}), "demo")
OLI = Caller("oli", "other", frozenset({"member"}), "other")
ADMIN = Caller("adm", "ops", frozenset({"admin"}), "ops")
OFFERS = Offers(
    images=(Image("node"), Image("newer", "trixie")),
    flavors=(Flavor("small", 1, 1024), Flavor("large", 4, 8192)),
    labels=DRIVERS,
)


@dataclasses.dataclass(frozen=True)
class Desk:
    """Intents on a store of their own."""

    store: Store
    intents: Intents


def cluster(desk: Desk, name: str = "one", caller: Caller = ANN, **more: Any) -> Cluster:
    """Ask for a cluster of a template of its own (`of` has more fields of that)."""
    template = desk.intents.templates.create(caller, {"coe": "swarm-mode", "image_id": "node", **more.pop("of", {})})
    return desk.intents.clusters.create(caller, {"name": name, "cluster_template_id": template.id, **more})


def count(desk: Desk, noun: str) -> int:
    """Return how many rows a noun has."""
    with desk.store.reading() as tx:
        return int(getattr(tx, noun).count())


def usable(desk: Desk, made: Cluster, phase: Phase = Phase.READY, **seen: Any) -> Cluster:
    """Let the worker have seen all nodes, and have come to this end with the cluster and its groups.

    `seen` replaces fields of all nodes.
    """
    with desk.store.saving() as tx:
        current, groups = tx.clusters.get(made.id), tx.nodegroups.of([made.id])[made.id]
        nodes = tuple(
            Node(node_name(made, group, number), group.id, group.role, f"10.0.0.{host}", "ready", f"m{host}", **seen)
            for host, (group, number) in enumerate(
                ((group, number) for group in groups for number in numbers(group)), start=2
            )
        )
        record = dataclasses.replace(
            current, observed=ClusterObserved(nodes=nodes, api_address="tcp://10.0.0.2:2376", authority=1)
        )
        values = {"observed": tx.clusters.mapper.document("observed", record), "phase": phase.value}
        tx.connection.execute(tx.clusters.table.update().where(tx.clusters.table.c.id == made.id).values(values))
        for group in groups:
            tx.nodegroups.save(dataclasses.replace(group, phase=phase))
        return tx.clusters.get(made.id)
