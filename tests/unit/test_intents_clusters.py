# SPDX-License-Identifier: Apache-2.0
"""Intents on clusters after their creation: sizes, nodes named for removal, upgrade, rotation, retries, offers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from stackyard.model import errors
from stackyard.model.clusters import Cluster, NodeGroup, node_name, numbers
from stackyard.model.phase import Phase
from tests.unit.desk import ADMIN, ANN, OFFERS, OLI, Desk, cluster, count, usable


def groups(desk: Desk, made: Cluster) -> dict[str, NodeGroup]:
    return {group.name: group for group in desk.intents.clusters.details(made)[0]}


def workers(desk: Desk, made: Cluster) -> NodeGroup:
    return groups(desk, made)["default-worker"]


def names(desk: Desk, made: Cluster) -> list[str]:
    group = workers(desk, made)
    return [node_name(made, group, number) for number in numbers(group)]


def template(desk: Desk, name: str = "next", **more: Any) -> str:
    return desk.intents.templates.create(ANN, {"coe": "swarm-mode", "image_id": "newer", "name": name, **more}).id


def pin(desk: Desk, made: Cluster, *nodes: str) -> None:
    """Let an application `shop` have its volumes on these nodes."""
    app = desk.intents.applications.create(ANN, {"name": "shop", "cluster": made.id})
    pins = {f"s{number}": node for number, node in enumerate(nodes)}
    with desk.store.saving() as tx:
        deployment = tx.deployments.of(app.id)
        assert deployment
        document = tx.deployments.mapper.document("observed", dataclasses.replace(deployment, pins=pins))
        tx.connection.execute(tx.deployments.table.update().values(observed=document))


# --- what may be named -------------------------------------------------------------------------


def test_images_and_flavors_by_name_by_id_and_by_alias(desk: Desk) -> None:
    image, small, large = OFFERS.images[1], OFFERS.flavors[0], OFFERS.flavors[1]
    made = cluster(desk, of={"image_id": image.id, "flavor_id": small.id}, master_flavor_id=large.name)
    master, worker = groups(desk, made).values()
    assert (master.image_id, master.image_ref, master.cpus, master.memory_mb) == ("newer", image.id, 4, 8192)
    assert (worker.flavor_id, worker.cpus, worker.memory_mb) == (small.id, 1, 1024)
    assert workers(desk, cluster(desk, "two", of={"image_id": "stackyard-node"})).image_id == "node"


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_id": "none"},
        {"flavor_id": "none"},
        {"master_flavor_id": "none"},
        {"external_network_id": "none"},
        {"external_network_id": "private"},
        {"fixed_network": "none"},
        {"fixed_subnet": "any"},
        {"labels": {"colour": "red"}},
        {"labels": {"drain_seconds": "soon"}},
        {"labels": {"auto_healing_enabled": "maybe"}},
        {"dns_nameserver": "8.8.8.8,"},
        {"dns_nameserver": "example.org"},
        {"tls_disabled": True},
    ],
)
def test_a_template_of_what_there_is_not(desk: Desk, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput):
        desk.intents.templates.create(ANN, {"coe": "swarm-mode", "image_id": "node", **wrong})
    made = desk.intents.templates.create(ANN, {"coe": "swarm-mode", "image_id": "node"})
    with pytest.raises(errors.BadInput):
        desk.intents.templates.update(ANN, made.id, wrong)
    assert desk.intents.templates.find(ANN, made.id) == made


def test_a_template_of_all_that_there_is(desk: Desk) -> None:
    fields = {
        "external_network_id": "public",
        "fixed_network": "private",
        "keypair_id": "nobody-knows-it",
        "dns_nameserver": "8.8.8.8, 2001:db8::1",
        "cluster_distro": "what the client thinks",
        "labels": {"drain_seconds": "5", "auto_healing_enabled": "False", "example.org/team": "x"},
    }
    made = desk.intents.templates.create(ANN, {"coe": "swarm", "image_id": "newer", **fields})
    assert made.attributes["cluster_distro"] == "trixie"
    assert made.attributes["network_driver"] == "docker"


def test_a_template_for_an_engine_without_driver_has_any_labels(desk: Desk) -> None:
    values = {"coe": "kubernetes", "image_id": "node", "labels": {"kube_tag": "v1"}, "tls_disabled": True}
    assert desk.intents.templates.create(ANN, values).labels == {"kube_tag": "v1"}


@pytest.mark.parametrize(
    "wrong", [{"flavor_id": "none"}, {"labels": {"colour": "red"}}, {"fixed_network": "none"}, {"master_count": 9}]
)
def test_a_cluster_of_what_there_is_not(desk: Desk, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.BadInput):
        cluster(desk, **{"master_lb_enabled": True, **wrong})
    assert count(desk, "clusters") == count(desk, "nodegroups") == 0
    # Nothing of the quota of three is used either.
    for name in ("a", "b", "c"):
        cluster(desk, name)


# --- sizes -------------------------------------------------------------------------------------


def test_nodes_go_by_name_member_id_and_address(desk: Desk) -> None:
    made = usable(desk, cluster(desk, node_count=6))
    nodes = [node for node in made.observed.nodes if node.role == "worker"]
    leaving = [nodes[0].name, str(nodes[2].member_id), nodes[4].address]
    desk.intents.clusters.resize(ANN, "one", 3, None, leaving)
    group = workers(desk, made)
    assert (group.node_count, group.gaps, numbers(group)) == (3, (0, 2, 4), [1, 3, 5])
    assert group.phase is Phase.UPDATING
    # Growing fills the gaps; then they are forgotten.
    desk.intents.clusters.resize(ANN, "one", 5)
    assert numbers(workers(desk, made)) == [0, 1, 2, 3, 5]
    desk.intents.clusters.resize(ANN, "one", 2)
    assert (numbers(workers(desk, made)), workers(desk, made).gaps) == ([0, 1], ())
    desk.intents.clusters.resize(ANN, "one", 0)
    assert (workers(desk, made).node_count, workers(desk, made).gaps) == (0, ())


def test_more_may_go_than_are_named_but_not_less(desk: Desk) -> None:
    made = usable(desk, cluster(desk, node_count=4))
    first = names(desk, made)[0]
    with pytest.raises(errors.BadInput, match="at most 3"):
        desk.intents.clusters.resize(ANN, "one", 4, None, [first])
    assert workers(desk, made).node_count == 4
    desk.intents.clusters.resize(ANN, "one", 2, None, [first])
    assert numbers(workers(desk, made)) == [1, 2]


def test_nodes_that_are_none_of_the_group(desk: Desk) -> None:
    made = usable(desk, cluster(desk, node_count=2))
    theirs = usable(desk, cluster(desk, "theirs", OLI))
    master = next(node for node in made.observed.nodes if node.role == "master")
    for wrong in ("none", master.name, str(master.member_id), theirs.observed.nodes[1].name):
        with pytest.raises(errors.BadInput, match="is not one of nodegroup default-worker"):
            desk.intents.clusters.resize(ANN, "one", 1, None, [wrong])
    gone = names(desk, made)[1]
    desk.intents.clusters.resize(ANN, "one", 1, None, [gone])
    with pytest.raises(errors.BadInput, match="is not one of"):
        desk.intents.clusters.resize(ANN, "one", 0, None, [gone])
    assert desk.intents.clusters.find(ANN, "one").generation == 2


def test_nodes_that_are_down_go_first(desk: Desk) -> None:
    made = usable(desk, cluster(desk, node_count=3))
    first = names(desk, made)[0]
    _down(desk, made, first)
    desk.intents.clusters.resize(ANN, "one", 2)
    assert first not in names(desk, made)


def _down(desk: Desk, made: Cluster, name: str) -> None:
    with desk.store.saving() as tx:
        current = tx.clusters.get(made.id)
        nodes = tuple(
            dataclasses.replace(node, state="down" if node.name == name else node.state)
            for node in current.observed.nodes
        )
        record = dataclasses.replace(current, observed=dataclasses.replace(current.observed, nodes=nodes))
        values = {"observed": tx.clusters.mapper.document("observed", record)}
        tx.connection.execute(tx.clusters.table.update().where(tx.clusters.table.c.id == made.id).values(values))


def test_volumes_of_applications_stay(desk: Desk) -> None:
    made = usable(desk, cluster(desk, node_count=3))
    held = names(desk, made)[2]
    pin(desk, made, held)
    with pytest.raises(errors.Conflict, match="shop"):
        desk.intents.clusters.resize(ANN, "one", 2, None, [held])
    desk.intents.clusters.resize(ANN, "one", 1)
    assert names(desk, made) == [held]
    with pytest.raises(errors.Conflict, match=f"{held} hold volumes of applications: shop"):
        desk.intents.clusters.resize(ANN, "one", 0)
    assert names(desk, made) == [held]


def test_a_group_that_holds_a_volume_stays(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    _, group = desk.intents.nodegroups.create(ANN, "one", {"name": "disks"})
    pin(desk, made, node_name(made, group, 0))
    with pytest.raises(errors.Conflict, match="shop"):
        desk.intents.nodegroups.delete(ANN, "one", "disks")
    assert groups(desk, made)["disks"].phase is Phase.CREATING


def test_name_labels_and_counts_change_at_once_or_not_at_all(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    wanted: dict[str, Any] = {"name": "uno", "labels": {"drain_seconds": "1"}, "node_count": 3, "master_count": 3}
    for wrong in ({"master_count": 2}, {"labels": {"colour": "red"}}):
        with pytest.raises(errors.BadInput):
            desk.intents.clusters.update(ANN, "one", {**wanted, **wrong})
    assert desk.intents.clusters.find(ANN, "one").generation == 1
    changed = desk.intents.clusters.update(ANN, "one", wanted)
    assert (changed.name, changed.labels, changed.phase) == ("uno", {"drain_seconds": "1"}, Phase.UPDATING)
    master, worker = groups(desk, made).values()
    assert (master.node_count, worker.node_count, worker.labels) == (3, 3, {"drain_seconds": "1"})


# --- node groups -------------------------------------------------------------------------------


def test_a_group_of_its_own_kind(desk: Desk) -> None:
    made = usable(desk, cluster(desk, of={"docker_volume_size": 5, "flavor_id": "small"}))
    values = {
        "name": "gpu",
        "role": "gpu",
        "image_id": "newer",
        "flavor_id": "large",
        "docker_volume_size": 7,
        "node_labels": {"zone": "a"},
        "node_count": 0,
    }
    _, group = desk.intents.nodegroups.create(ANN, "one", values)
    assert (group.role, group.image_id, group.cpus, group.docker_volume_size) == ("gpu", "newer", 4, 7)
    assert (group.node_labels, group.node_count) == ({"zone": "a"}, 0)
    _, plain = desk.intents.nodegroups.create(ANN, "one", {"name": "plain"})
    assert (plain.image_id, plain.cpus, plain.docker_volume_size) == ("node", 1, 5)
    assert groups(desk, made)["default-master"].docker_volume_size == 5
    for wrong in ({"image_id": "none"}, {"flavor_id": "none"}, {"labels": {"colour": "red"}}):
        with pytest.raises(errors.BadInput):
            desk.intents.nodegroups.create(ANN, "one", {"name": "wrong", **wrong})


def test_node_labels_change_but_not_those_of_masters(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    desk.intents.nodegroups.update(ANN, "one", "default-worker", {"node_labels": {"a": "b"}})
    assert workers(desk, made).node_labels == {"a": "b"}
    with pytest.raises(errors.Conflict, match="master"):
        desk.intents.nodegroups.update(ANN, "one", "default-master", {"node_labels": {"a": "b"}})


def test_operations_on_groups_queue_up(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    for name in ("a", "b", "c"):
        desk.intents.nodegroups.create(ANN, "one", {"name": name})
    desk.intents.clusters.resize(ANN, "one", 2, "a")
    desk.intents.nodegroups.delete(ANN, "one", "b")
    desk.intents.clusters.resize(ANN, "one", 4)
    found = {group.name: (group.phase, group.node_count) for group in groups(desk, made).values()}
    assert found["a"] == (Phase.CREATING, 2)
    assert found["b"] == (Phase.DELETING, 1)
    assert found["default-worker"] == (Phase.UPDATING, 4)
    with pytest.raises(errors.Conflict, match="b is being deleted"):
        desk.intents.clusters.resize(ANN, "one", 2, "b")


# --- upgrade -----------------------------------------------------------------------------------


def test_an_upgrade_gives_the_new_image_to_whom_had_the_old_one(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    desk.intents.nodegroups.create(ANN, "one", {"name": "alike"})
    desk.intents.nodegroups.create(ANN, "one", {"name": "own", "image_id": "newer"})
    made = usable(desk, made)
    wanted = template(desk)
    changed = desk.intents.rolls.upgrade(ANN, "one", "next", 3)
    assert (changed.upgrade_to, changed.template_id, changed.batch_size) == (wanted, made.template_id, 3)
    assert (changed.phase, changed.deadline is not None) == (Phase.UPDATING, True)
    found = {group.name: (group.image_id, group.phase) for group in groups(desk, made).values()}
    assert found == {
        "default-master": ("newer", Phase.UPDATING),
        "default-worker": ("newer", Phase.UPDATING),
        "alike": ("newer", Phase.UPDATING),
        "own": ("newer", Phase.READY),
    }
    with pytest.raises(errors.BadInput, match="referenced"):
        desk.intents.templates.delete(ANN, wanted)


def test_one_group_is_upgraded_to_the_clusters_template_only(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    desk.intents.nodegroups.create(ANN, "one", {"name": "own", "image_id": "newer"})
    usable(desk, made)
    template(desk)
    with pytest.raises(errors.Conflict, match="can be upgraded only to match cluster's template"):
        desk.intents.rolls.upgrade(ANN, "one", "next", 1, "own")
    desk.intents.rolls.upgrade(ANN, "one", made.template_id, 1, "own")
    found = groups(desk, made)
    assert (found["own"].image_id, found["own"].phase) == ("node", Phase.UPDATING)
    assert found["default-worker"].phase is Phase.READY


def test_an_upgrade_needs_a_template_of_the_same_engine_that_one_can_see(desk: Desk) -> None:
    usable(desk, cluster(desk))
    template(desk, "other", coe="kubernetes")
    with pytest.raises(errors.Conflict, match="kubernetes"):
        desk.intents.rolls.upgrade(ANN, "one", "other", 1)
    theirs = desk.intents.templates.create(OLI, {"coe": "swarm-mode", "image_id": "newer"})
    hidden = {"coe": "swarm-mode", "image_id": "newer", "public": True, "hidden": True}
    for absent in (theirs.id, desk.intents.templates.create(ADMIN, hidden).id, "none"):
        with pytest.raises(errors.NotFound):
            desk.intents.rolls.upgrade(ANN, "one", absent, 1)
    assert desk.intents.clusters.find(ANN, "one").phase is Phase.READY


def test_one_upgrade_at_a_time_and_any_after_a_failure(desk: Desk) -> None:
    made = cluster(desk)
    first, second = template(desk, "first"), template(desk, "second")
    with pytest.raises(errors.Conflict, match="still being created"):
        desk.intents.rolls.upgrade(ANN, "one", "first", 1)
    usable(desk, made)
    desk.intents.rolls.upgrade(ANN, "one", "first", 1)
    desk.intents.rolls.upgrade(ANN, "one", "first", 2)
    with pytest.raises(errors.Conflict, match=first):
        desk.intents.rolls.upgrade(ANN, "one", "second", 1)
    with pytest.raises(errors.Conflict, match="being upgraded"):
        desk.intents.rolls.rotate(ANN, "one")
    desk.intents.clusters.resize(ANN, "one", 2)
    usable(desk, made, Phase.UPDATE_FAILED)
    # Back to where it came from, or on to somewhere else.
    changed = desk.intents.rolls.upgrade(ANN, "one", made.template_id, 1)
    assert (changed.upgrade_to, changed.phase) == (made.template_id, Phase.UPDATING)
    assert workers(desk, made).image_id == "node"
    usable(desk, made, Phase.CREATE_FAILED)
    assert desk.intents.rolls.upgrade(ANN, "one", second, 1).phase is Phase.CREATING


# --- rotation ----------------------------------------------------------------------------------


def test_a_rotation_trusts_the_last_ca_and_a_revocation_none_but_the_new(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    changed = desk.intents.rolls.rotate(ANN, "one")
    assert (changed.trust, changed.phase) == ("1..2", Phase.UPDATING)
    usable(desk, made, trust="1..2")
    assert desk.intents.rolls.rotate(ANN, "one").trust == "2..3"
    usable(desk, made, trust="2..3")
    assert desk.intents.rolls.rotate(ANN, "one", revoke=True).trust == "4..4"


def test_one_rotation_at_a_time_and_the_same_again_after_a_failure(desk: Desk) -> None:
    made = cluster(desk)
    template(desk)
    with pytest.raises(errors.Conflict, match="still being created"):
        desk.intents.rolls.rotate(ANN, "one")
    usable(desk, made)
    desk.intents.rolls.rotate(ANN, "one")
    for other in (
        lambda: desk.intents.rolls.rotate(ANN, "one"),
        lambda: desk.intents.rolls.rotate(ANN, "one", revoke=True),
        lambda: desk.intents.rolls.upgrade(ANN, "one", "next", 1),
    ):
        with pytest.raises(errors.Conflict, match="being rotated"):
            other()
    usable(desk, made, Phase.UPDATE_FAILED)
    assert desk.intents.rolls.rotate(ANN, "one").trust == "1..2"
    usable(desk, made, Phase.UPDATE_FAILED)
    assert desk.intents.rolls.rotate(ANN, "one", revoke=True).trust == "2..2"
    usable(desk, made, Phase.CREATE_FAILED)
    with pytest.raises(errors.Conflict, match="was not created"):
        desk.intents.rolls.rotate(ANN, "one")


# --- states ------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Desk], object]] = {
    "resize": lambda desk: desk.intents.clusters.resize(ANN, "one", 2),
    "update": lambda desk: desk.intents.clusters.update(ANN, "one", {"name": "uno"}),
    "upgrade": lambda desk: desk.intents.rolls.upgrade(ANN, "one", "next", 1),
    "rotate": lambda desk: desk.intents.rolls.rotate(ANN, "one"),
    "group": lambda desk: desk.intents.nodegroups.create(ANN, "one", {"name": "more"}),
    "bounds": lambda desk: desk.intents.nodegroups.update(ANN, "one", "extra", {"max_node_count": 5}),
    "no group": lambda desk: desk.intents.nodegroups.delete(ANN, "one", "extra"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("phase", [Phase.DELETING, Phase.DELETE_FAILED])
def test_nothing_but_deletion_happens_to_what_is_going(desk: Desk, operation: str, phase: Phase) -> None:
    made = usable(desk, cluster(desk))
    desk.intents.nodegroups.create(ANN, "one", {"name": "extra"})
    template(desk)
    usable(desk, made, phase)
    before = groups(desk, made)
    with pytest.raises(errors.Conflict):
        OPERATIONS[operation](desk)
    assert (groups(desk, made), desk.intents.clusters.find(ANN, "one").phase) == (before, phase)
    assert desk.intents.clusters.delete(ANN, "one").phase is Phase.DELETING


# What was never made has no certificates to rotate.
RETRIES = [
    (operation, phase)
    for operation in OPERATIONS
    for phase in (Phase.UPDATE_FAILED, Phase.CREATE_FAILED)
    if (operation, phase) != ("rotate", Phase.CREATE_FAILED)
]


@pytest.mark.parametrize(("operation", "phase"), RETRIES)
def test_every_failure_is_retried_with_all_groups(desk: Desk, operation: str, phase: Phase) -> None:
    made = usable(desk, cluster(desk))
    desk.intents.nodegroups.create(ANN, "one", {"name": "extra"})
    template(desk)
    usable(desk, made, phase)
    OPERATIONS[operation](desk)
    found = desk.intents.clusters.find(ANN, made.id)
    again = Phase.CREATING if phase is Phase.CREATE_FAILED else Phase.UPDATING
    assert (found.phase, found.status_reason) == (again, None)
    assert {group.phase for group in groups(desk, made).values()} <= {again, Phase.CREATING, Phase.DELETING}


def test_a_group_that_could_not_go_is_taken_up_again_by_any_change(desk: Desk) -> None:
    made = usable(desk, cluster(desk))
    desk.intents.nodegroups.create(ANN, "one", {"name": "extra"})
    usable(desk, made)
    desk.intents.nodegroups.delete(ANN, "one", "extra")
    with desk.store.saving() as tx:
        extra = groups(desk, made)["extra"]
        tx.nodegroups.save(dataclasses.replace(extra, phase=Phase.DELETE_FAILED))
    desk.intents.clusters.resize(ANN, "one", 2)
    assert groups(desk, made)["extra"].phase is Phase.DELETING


@pytest.mark.parametrize("operation", OPERATIONS)
def test_another_projects_cluster_is_not_there(desk: Desk, operation: str) -> None:
    cluster(desk, caller=OLI)
    template(desk)
    with pytest.raises(errors.NotFound):
        OPERATIONS[operation](desk)
