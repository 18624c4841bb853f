# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of the worker and of the API at each named step of a cluster's life, several in a row.

After each part of that life: all that was asked for, and nothing else, neither container nor network nor volume.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from stackyard.model.plan import Action, Wait, cluster_steps
from tests.platform.clusters import NEXT_IMAGE, Api, Host, destroy, generation, member_ids, until
from tests.platform.killing import Killer

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

CREATION = ("MakeAuthority", "MakeNetwork", "AddMachines", "FormCluster", "JoinMachines")
GROWTH = ("AddMachines", "JoinMachines")
SHRINKING = ("DrainMembers", "ForgetMembers", "RemoveMachines")
UPGRADE = ("DrainMembers", "ReplaceMachines", "AddMachines", "UpdateMembers")
ROTATION = ("MakeAuthority",)
HEALING = ("ForgetMembers", "JoinMachines")
RECOVERY = ("AddMachines", "RecoverCluster", "ForgetMembers", "JoinMachines")
REMOVAL = ("RemoveMachines", "RemoveNetwork")
SCENARIOS = (CREATION, GROWTH, SHRINKING, UPGRADE, ROTATION, HEALING, RECOVERY, REMOVAL)


def test_no_step_is_left_out() -> None:
    actions = inspect.getmembers(cluster_steps, inspect.isclass)
    steps = {
        name
        for name, kind in actions
        if issubclass(kind, Action) and not issubclass(kind, Wait) and not name.startswith("_")
    } - {"Action"}
    assert {step for scenario in SCENARIOS for step in scenario} == steps


@pytest.fixture(scope="module")
def before(host: Host) -> list[str]:
    """All that the platform has before the first test of these makes a cluster."""
    return host.belongings()


@pytest.fixture(scope="module")
def cluster(api: Api, killer: Killer, before: list[str]) -> Iterator[str]:
    """A cluster of 1+1 nodes, made while everything was killed again and again."""
    template = api.template("sytest")
    made: list[str] = []
    killer.through(lambda: made.append(api.create("killed", cluster_template_id=template)), *CREATION)
    until(lambda: api.settled(made[0]))
    yield made[0]
    killer.forget()
    api.remove(made[0])


def test_creation_of_a_cluster(host: Host, cluster: str) -> None:
    host.check_whole(cluster, managers=1, workers=1)


def test_growth(api: Api, host: Host, killer: Killer, cluster: str) -> None:
    killer.through(lambda: api.resize(cluster, 2), *GROWTH)
    until(lambda: api.settled(cluster))
    host.check_whole(cluster, managers=1, workers=2)


def test_shrinking(api: Api, host: Host, killer: Killer, cluster: str) -> None:
    killer.through(lambda: api.resize(cluster, 1), *SHRINKING)
    until(lambda: api.settled(cluster))
    host.check_whole(cluster, managers=1, workers=1)


@pytest.mark.slow
def test_upgrade(api: Api, host: Host, killer: Killer, cluster: str) -> None:
    ids = member_ids(host.nodes(cluster, "master")[0])
    template = api.template("sytest-next", NEXT_IMAGE)
    killer.through(lambda: api.upgrade(cluster, template), *UPGRADE)
    until(lambda: api.settled(cluster))
    host.check_whole(cluster, managers=1, workers=1)
    assert member_ids(host.nodes(cluster, "master")[0]) == ids
    assert {generation(node) for node in host.nodes(cluster)} == {"second"}


@pytest.mark.slow
def test_rotation(api: Api, host: Host, killer: Killer, cluster: str) -> None:
    killer.through(lambda: api.call("PATCH", f"/certificates/{cluster}"), *ROTATION)
    until(lambda: api.settled(cluster))
    host.check_whole(cluster, managers=1, workers=1)


@pytest.mark.slow
def test_healing(api: Api, host: Host, killer: Killer, cluster: str) -> None:
    """A worker comes back without its data, so the swarm has to forget it and to take it in anew."""
    killer.through(lambda: destroy(*host.nodes(cluster, "worker")), *HEALING)
    until(lambda: host.is_whole(cluster, 1, 1) and api.healthy(cluster))


@pytest.mark.slow
def test_recovery(api: Api, host: Host, killer: Killer, before: list[str]) -> None:
    made = api.made("killed-quorum", nodes=0, managers=3)
    killer.through(lambda: destroy(*host.nodes(made)[:2]), *RECOVERY)
    until(lambda: host.is_whole(made, 3, 0) and api.healthy(made), 240)
    api.remove(made)


def test_removal_of_a_cluster(api: Api, host: Host, killer: Killer, before: list[str], cluster: str) -> None:
    killer.through(lambda: api.answer("DELETE", f"/clusters/{cluster}"), *REMOVAL)
    until(lambda: api.show(cluster) is None)
    assert host.belongings() == before
