# SPDX-License-Identifier: Apache-2.0
"""The life of clusters in the worker: made, upgraded, rotated, healed, failed, deleted; what is noted of it."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import time
from collections.abc import Callable

import pytest
from cryptography import x509

from stackyard.model import errors
from stackyard.model.applications import Application, Deployment
from stackyard.model.clusters import MASTER
from stackyard.model.phase import Phase
from stackyard.model.ports import NodeAccess
from stackyard.model.records import utcnow
from stackyard.worker import clusters as worker
from stackyard.worker import reconciler
from tests.worker.cluster_rig import Bench

Make = Callable[..., Bench]


@pytest.fixture
def make(tmp_path: pathlib.Path) -> Make:
    """Give what makes a cluster in the database and lets the worker make it real."""

    def made(masters: int = 1, workers: int = 2, **fields: object) -> Bench:
        bench = Bench(tmp_path, masters, workers, **fields)
        bench.work()
        return bench

    return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "HOLD_SECONDS", 0.1)


def test_a_cluster_is_made_with_all_that_is_told_of_it(make: Make) -> None:
    bench = make(3, 1)
    cluster = bench.cluster
    assert (cluster.phase, cluster.observed.health, cluster.observed.authority) == (Phase.READY, "HEALTHY", 1)
    assert cluster.status_reason is None
    assert cluster.observed.health_reason == {**{f"{node.name}.Ready": "True" for node in bench.nodes}, "api": "ok"}
    assert [(node.role, node.state) for node in bench.nodes] == [(MASTER, "ready")] * 3 + [("worker", "ready")]
    assert cluster.observed.api_address in {f"tcp://{node.address}:2376" for node in bench.nodes}
    assert {group.phase for group in bench.groups.values()} == {Phase.READY}
    assert all(node.member_id for node in bench.nodes)


def test_progress_is_told_while_it_is_in_hand(make: Make, tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path, 1, 1)
    told: list[str | None] = []
    act = bench.noun.act
    bench.noun.act = lambda *arguments: (told.append(bench.cluster.status_reason), act(*arguments))[1]  # type: ignore[method-assign]
    bench.work()
    worker_name = bench.names()[0]
    assert told[0] == "making a certificate authority"
    assert told[-1] == f"joining {worker_name}"
    assert bench.cluster.status_reason is None


def test_while_it_is_made_only_members_are_listed_and_health_tells_the_rest(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path, 1, 1)
    worker_name = f"sy-{bench.id[:8]}-{bench.groups['default-worker'].id[:4]}-0"
    bench.machines.trouble[worker_name] = errors.Unavailable("no room on this host")
    bench.look()
    assert bench.cluster.observed.health == "UNKNOWN"
    assert bench.nodes == []
    assert bench.cluster.status_reason == "no room on this host"
    assert bench.cluster.observed.health_reason[f"{worker_name}.Ready"] == "False: it is not made yet"


class TestUpgrade:
    def test_to_another_template(self, make: Make) -> None:
        bench = make(3, 2)
        members = {node.member_id for node in bench.nodes}
        bench.upgrade("next", "second", batch_size=2)
        bench.work()
        cluster = bench.cluster
        assert (cluster.phase, cluster.template_id, cluster.upgrade_to) == (Phase.READY, "second", None)
        assert bench.images == {"next"}
        assert {node.member_id for node in bench.nodes} == members
        assert cluster.batch_size == 2
        assert {group.phase for group in bench.groups.values()} == {Phase.READY}

    def test_a_new_wish_on_the_way_is_not_overwritten_by_the_end_of_the_old(self, make: Make) -> None:
        bench = make(1, 1)
        bench.upgrade("next", "second")
        replace = bench.machines.delete

        def change_mind(*arguments: object, **words: object) -> None:
            replace(*arguments, **words)  # type: ignore[arg-type]
            if bench.cluster.upgrade_to == "second":
                bench.upgrade("third", "other")

        bench.machines.delete = change_mind  # type: ignore[method-assign]
        bench.work()
        assert (bench.cluster.template_id, bench.images) == ("other", {"third"})

    def test_an_image_that_can_not_be_had_fails_it_and_a_retry_goes_on(self, make: Make) -> None:
        bench = make(1, 2)
        bench.machines.trouble["bad"] = errors.GiveUp("there is no image 'bad' here")
        bench.upgrade("bad", "second")
        bench.work()
        assert bench.cluster.phase is Phase.UPDATE_FAILED
        assert bench.cluster.status_reason == "there is no image 'bad' here"
        assert (bench.cluster.template_id, bench.cluster.upgrade_to) == ("first", "second")
        told = {name: group.status_reason or "" for name, group in bench.groups.items()}
        assert "its machine is being replaced" in told["default-master"]
        assert "yet to be replaced" in told["default-worker"]
        bench.upgrade("good", "third")
        bench.work()
        assert (bench.cluster.phase, bench.cluster.template_id, bench.images) == (Phase.READY, "third", {"good"})
        assert [group.status_reason for group in bench.groups.values()] == [None, None]

    def test_running_services_are_moved_within_bounds(self, make: Make) -> None:
        bench = make(1, 2, labels={"drain_seconds": "0"})
        for name in bench.names():
            bench.engine.tasks[name] = 3
        bench.upgrade("next", "second")
        bench.work()
        assert bench.steps().count("drained") == 3
        assert not any(node.state == "draining" for node in bench.nodes)


class TestRotation:
    def test_every_node_gets_the_new_authority_and_the_old_one_stays_trusted(self, make: Make) -> None:
        bench = make(1, 1)
        old = bench.authorities.certificate(bench.cluster)
        bench.ask("rotate", authority=2, trusted_from=1)
        bench.work()
        cluster = bench.cluster
        assert (cluster.phase, cluster.observed.authority, bench.trusts) == (Phase.READY, 2, {"1..2"})
        assert bench.authorities.active(cluster) == 2
        assert bench.authorities.certificate(cluster) != old
        assert bench.authorities.authority(cluster, 1).cert == old
        assert {node.trust for node in bench.nodes} == {"1..2"}
        served = bench.machines.certificates[bench.nodes[0].address]
        assert len(x509.load_pem_x509_certificates(served.ca.encode())) == 2

    def test_revoking_drops_what_is_not_trusted_any_more(self, make: Make) -> None:
        bench = make(1, 1)
        bench.ask("revoke", authority=2, trusted_from=2)
        bench.work()
        assert bench.trusts == {"2..2"}
        with pytest.raises(errors.Conflict):
            bench.authorities.authority(bench.cluster, 1)

    def test_nodes_of_both_kinds_are_talked_to_on_the_way(self, make: Make) -> None:
        bench = make(1, 2)
        asked: list[tuple[str, str]] = []
        look = bench.engine.look

        def noting(node: NodeAccess) -> object:
            asked.append((node.name, node.tls.cert))
            return look(node)

        bench.engine.look = noting  # type: ignore[method-assign,assignment]
        bench.ask("revoke", authority=2, trusted_from=2)
        bench.work()
        assert {len({cert for name, cert in asked if name == node.name}) for node in bench.nodes} == {2}

    def test_a_cluster_of_the_time_before_rotation_keeps_its_authority(self, tmp_path: pathlib.Path) -> None:
        bench = Bench(tmp_path, 1, 0)
        lease, record = bench.leases.acquire()  # type: ignore[misc]
        sealed = bench.authorities.make_next(record)
        bench.leases.save(lease, dataclasses.replace(record, secrets=sealed))
        bench.leases.release(lease, 0)
        bench.work()
        assert bench.cluster.secrets == sealed
        assert bench.cluster.observed.authority == 1


class TestHealing:
    @pytest.mark.parametrize("masters", [1, 3])
    def test_what_stopped_is_started(self, make: Make, masters: int) -> None:
        bench = make(masters, 1)
        members = {node.member_id for node in bench.nodes}
        for name in (bench.names()[0], bench.names(MASTER)[0]):
            bench.machines.stop(bench.id, name)
            bench.look()
        assert {node.state for node in bench.nodes} == {"ready"}
        assert {node.member_id for node in bench.nodes} == members
        assert bench.cluster.observed.health == "HEALTHY"

    def test_what_is_gone_with_its_data_is_made_anew(self, make: Make) -> None:
        bench = make(3, 1)
        for name in (bench.names()[0], bench.names(MASTER)[0]):
            bench.machines.delete(bench.id, name)
            bench.look()
        assert [node.state for node in bench.nodes] == ["ready"] * 4

    def test_a_quorum_lost_for_good_is_recovered(self, make: Make) -> None:
        bench = make(3, 1)
        for name in bench.names(MASTER)[1:]:
            bench.machines.delete(bench.id, name)
        bench.look()
        assert "recovered" in bench.steps()
        assert [node.state for node in bench.nodes] == ["ready"] * 4

    def test_applications_are_told_when_nodes_change(self, make: Make) -> None:
        bench = make(1, 1)
        with bench.store.transaction() as tx:
            app = tx.applications.insert(Application(project_id="p", name="a"))
            deployment = Deployment(project_id="p", name="d", app_id=app.id, cluster_id=bench.id, environment="prod")
            tx.deployments.insert(deployment)
        with bench.store.saving() as tx:
            tx.connection.execute(tx.deployments.table.update().values(due=time.time() + 1000))
        bench.look()
        assert deployment_due(bench) > 900
        bench.machines.delete(bench.id, bench.names()[0])
        bench.look()
        assert deployment_due(bench) <= 0

    def test_off_it_is_only_reported(self, make: Make) -> None:
        bench = make(1, 2, labels={"auto_healing_enabled": "false"})
        dead = bench.names()[0]
        bench.machines.stop(bench.id, dead)
        bench.look()
        cluster = bench.cluster
        assert (cluster.phase, cluster.observed.health) == (Phase.READY, "UNHEALTHY")
        assert cluster.observed.health_reason[f"{dead}.Ready"] == "False: its machine stopped"
        assert {node.name: node.state for node in bench.nodes}[dead] == "down"
        assert {machine.name: machine.state for machine in bench.machines.list(bench.id)}[dead] == "stopped"

    def test_off_a_node_that_is_gone_stays_listed(self, make: Make) -> None:
        bench = make(1, 2, labels={"auto_healing_enabled": "false"})
        dead = bench.names()[0]
        bench.machines.delete(bench.id, dead)
        bench.look()
        gone = next(node for node in bench.nodes if node.name == dead)
        assert (gone.state, gone.reason) == ("absent", "its machine is gone")
        assert gone.address

    def test_what_hangs_for_long_is_restarted(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        bench = make(1, 1)
        hung, look = bench.names()[0], bench.engine.look

        def silent(node: NodeAccess) -> object:
            alive = node.name != hung or "replaced" in bench.steps()
            return look(node) if alive else None

        bench.engine.look = silent  # type: ignore[method-assign,assignment]
        bench.look()
        assert bench.cluster.observed.health_reason[f"{hung}.Ready"] == "False: its engine does not answer"
        assert "replaced" not in bench.steps()
        monkeypatch.setattr(worker, "SILENT_SECONDS", 0.0)
        bench.look()
        assert "replaced" in bench.steps()
        assert [node.state for node in bench.nodes] == ["ready", "ready"]


def test_what_nobody_can_see_is_unknown_and_not_acted_on(make: Make) -> None:
    bench = make(1, 1)
    nodes = bench.nodes
    bench.machines.silence = "the Engine does not answer"
    bench.look()
    assert bench.cluster.observed.health == "UNKNOWN"
    assert bench.cluster.observed.health_reason == {"api": "unknown: the Engine does not answer"}
    assert bench.nodes == nodes
    bench.machines.silence = ""
    bench.look()
    assert (bench.cluster.observed.health, bench.cluster.status_reason) == ("HEALTHY", None)


def test_one_node_with_a_foreign_certificate_does_not_hide_the_others(make: Make) -> None:
    bench = make(1, 2)
    odd, look = bench.names()[0], bench.engine.look

    def foreign(node: NodeAccess) -> object:
        if node.name == odd:
            raise errors.Unavailable(f"the engine of {odd} has another certificate authority")
        return look(node)

    bench.engine.look = foreign  # type: ignore[method-assign,assignment]
    bench.look()
    reasons = bench.cluster.observed.health_reason
    assert reasons.pop(f"{odd}.Ready") == f"False: the engine of {odd} has another certificate authority"
    assert set(reasons.values()) == {"True", "ok"}


class TestFailures:
    def test_each_group_tells_of_its_own_nodes(self, make: Make) -> None:
        bench = make(1, 1)
        with bench.store.transaction() as tx:
            tx.nodegroups.insert(bench.group_of("more", node_count=1))
        bench.machines.trouble[bench.groups["more"].id] = errors.GiveUp("that flavor is sold out")
        bench.ask("more")
        bench.work()
        cluster, groups = bench.cluster, bench.groups
        assert (cluster.phase, cluster.status_reason) == (Phase.UPDATE_FAILED, "that flavor is sold out")
        assert groups["more"].phase is Phase.CREATE_FAILED
        assert "it is not made yet" in (groups["more"].status_reason or "")
        others = [(groups[name].phase, groups[name].status_reason) for name in ("default-master", "default-worker")]
        assert others == [(Phase.READY, None)] * 2

    def test_a_group_in_change_whose_nodes_are_ready_is_done(self, make: Make) -> None:
        bench = make(1, 1)
        with bench.store.transaction() as tx:
            tx.nodegroups.insert(bench.group_of("more", node_count=1))
        name = f"sy-{bench.id[:8]}-{bench.groups['more'].id[:4]}-0"
        bench.machines.trouble[name] = errors.GiveUp(f"making node {name}: the disk is full")
        bench.group("default-worker", node_count=2)
        bench.work()
        assert bench.groups["more"].status_reason == f"{name}: making node {name}: the disk is full"
        assert bench.groups["default-master"].status_reason is None

    def test_timing_out_tells_what_was_in_hand(self, make: Make) -> None:
        bench = make(1, 1)
        worker_name = bench.names()[0]
        bench.machines.trouble[worker_name] = errors.Unavailable("no room on this host")
        bench.machines.delete(bench.id, worker_name)
        bench.ask("again", seconds=0.2)
        bench.work()
        assert bench.cluster.phase is Phase.UPDATE_FAILED
        assert bench.cluster.status_reason in (
            "timed out: no room on this host",
            f"timed out while adding {worker_name}",
        )

    def test_a_failed_cluster_is_watched_and_not_touched(self, make: Make) -> None:
        bench = make(1, 2)
        bench.machines.trouble["bad"] = errors.GiveUp("there is no image 'bad' here")
        bench.group("default-worker", image_id="bad")
        bench.work()
        assert bench.cluster.phase is Phase.UPDATE_FAILED
        before = bench.steps()
        dead = bench.names()[1]
        bench.machines.stop(bench.id, dead)
        bench.look()
        cluster = bench.cluster
        assert cluster.observed.health_reason[f"{dead}.Ready"] == "False: its machine stopped"
        assert (cluster.phase, cluster.status_reason) == (Phase.UPDATE_FAILED, "there is no image 'bad' here")
        assert bench.steps() == before
        assert 20 < (bench.leases.next_due() or 0) - time.time() <= 30

    def test_a_failed_cluster_that_can_not_be_seen_keeps_its_reason(self, make: Make) -> None:
        bench = make(1, 1)
        bench.machines.trouble["bad"] = errors.GiveUp("there is no image 'bad' here")
        bench.group("default-worker", image_id="bad")
        bench.work()
        bench.machines.silence = "the Engine does not answer"
        bench.look()
        assert bench.cluster.status_reason == "there is no image 'bad' here"
        assert bench.cluster.observed.health == "UNKNOWN"

    def test_creation_that_failed_can_be_tried_again(self, make: Make, tmp_path: pathlib.Path) -> None:
        bench = Bench(tmp_path, 1, 1)
        bench.machines.trouble["node"] = errors.GiveUp("there is no image 'node' here")
        bench.work()
        assert bench.cluster.phase is Phase.CREATE_FAILED
        assert {group.phase for group in bench.groups.values()} == {Phase.CREATE_FAILED}
        bench.machines.trouble.clear()
        bench.ask("again")
        bench.work()
        assert bench.cluster.phase is Phase.READY
        assert {group.phase for group in bench.groups.values()} == {Phase.READY}


class TestDeleting:
    def test_everything_goes(self, make: Make) -> None:
        bench = make(3, 2)
        bench.delete()
        assert bench.work() is None
        assert (bench.machines.machines, bench.machines.data, bench.machines.networks) == ({}, {}, {})
        assert bench.registry.attached == set()
        with bench.store.reading() as tx:
            assert [quota.in_use for quota in tx.quotas.list("p")] == [0]

    def test_with_every_engine_dead(self, make: Make) -> None:
        bench = make(1, 2)
        for machine in bench.machines.list(bench.id):
            bench.machines.stop(bench.id, machine.name)
        bench.delete()
        assert bench.work() is None

    def test_in_the_middle_of_an_upgrade(self, make: Make) -> None:
        bench = make(1, 1)
        bench.machines.delete(bench.id, bench.names()[0], keep_data=True)
        bench.delete()
        assert bench.work() is None
        assert bench.machines.data == {}

    def test_a_late_one_is_told_and_goes_on(self, make: Make) -> None:
        bench = make(1, 1)
        remove = bench.machines.delete
        stuck = True

        def refuse(*arguments: object, **words: object) -> None:
            if stuck:
                raise errors.Unavailable("the disk is busy")
            remove(*arguments, **words)  # type: ignore[arg-type]

        bench.machines.delete = refuse  # type: ignore[method-assign]
        bench.delete(seconds=0.1)
        bench.look()
        time.sleep(0.15)
        bench.look()
        assert bench.cluster.phase is Phase.DELETE_FAILED
        with bench.store.reading() as tx:
            told = [event.message for event in tx.events.of([bench.id]) if event.kind == "failed"]
        assert len(told) == 1
        assert told[0].startswith("timed out")
        bench.look()
        assert bench.cluster.status_reason == "the disk is busy"
        stuck = False
        bench.look()
        assert bench.now is None

    def test_one_that_is_refused_for_good_is_tried_again_later(self, make: Make) -> None:
        bench = make(1, 0)
        remove = bench.machines.delete_network
        refusals = iter([errors.GiveUp("somebody else's containers are on it")] * 2)

        def refuse(cluster_id: str) -> None:
            for error in refusals:
                raise error
            remove(cluster_id)

        bench.machines.delete_network = refuse  # type: ignore[method-assign]
        bench.delete()
        bench.look()
        assert (bench.cluster.phase, bench.cluster.status_reason) == (
            Phase.DELETE_FAILED,
            "somebody else's containers are on it",
        )
        bench.look()
        assert (bench.leases.next_due() or 0) > time.time()
        bench.look()
        assert bench.now is None


def test_labels_of_a_group_reach_its_members(make: Make) -> None:
    bench = make(1, 1)
    bench.group("default-worker", node_labels={"disk": "ssd"})
    bench.work()
    manager = next(node for node in bench.nodes if node.role == MASTER)
    access = NodeAccess(manager.name, manager.address, MASTER, bench.authorities.client_for(bench.cluster, "1..1"))
    labels = {member.name: dict(member.labels) for member in bench.engine.members(access)}
    assert labels == {manager.name: {}, bench.names()[0]: {"disk": "ssd"}}


def test_a_size_of_volumes_that_can_not_be_enforced_is_told(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path, 1, 1)
    bench.machines._limited = False
    with bench.store.transaction() as tx:
        tx.nodegroups.save(dataclasses.replace(bench.groups["default-worker"], docker_volume_size=5))
    bench.work()
    assert bench.cluster.observed.health == "HEALTHY"
    assert bench.cluster.observed.health_reason["docker_volume_size"].startswith("not enforced: ")


def test_a_deadline_that_passed_before_the_first_look_is_told(tmp_path: pathlib.Path) -> None:
    bench = Bench(tmp_path, 1, 1, deadline=utcnow() - datetime.timedelta(seconds=1))
    bench.work()
    assert bench.cluster.phase is Phase.CREATE_FAILED
    assert bench.cluster.status_reason == "timed out while making a certificate authority"
    bench.delete()
    assert bench.work() is None


def deployment_due(bench: Bench) -> float:
    """Return in how many seconds the one deployment is due."""
    with bench.store.reading() as tx:
        return float(tx.connection.execute(tx.deployments.table.select()).mappings().one()["due"]) - time.time()
