# SPDX-License-Identifier: Apache-2.0
"""Nodes that die at any time: alone, together, with or without their data, at rest and in the middle of a change.

Each time the cluster says so and comes back to what was asked for, and nothing stays that was not. Times are printed.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Iterator

import docker.errors
import pytest
from docker.models.containers import Container

from tests.platform.clusters import NEXT_IMAGE, Api, Host, address, destroy, generation, inside, member_ids, until
from tests.platform.watchers import Watcher

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

HEAL_SECONDS = 120
"""Far more than it takes: only what never ends fails."""


def kill(node: Container) -> None:
    """End a node at once; its container and data stay."""
    node.kill()


def remove(node: Container) -> None:
    """Remove a node as `docker rm -f` does; its data stays."""
    node.remove(force=True)


Blow = Callable[[Container], None]


def blows(*quick: Blow) -> pytest.MarkDecorator:
    """Return a test's parameters: all blows, of which only the quick ones are for every run."""
    chosen = [pytest.param(blow, marks=() if blow in quick else pytest.mark.slow) for blow in (kill, remove, destroy)]
    return pytest.mark.parametrize("blow", chosen, ids=lambda blow: blow.__name__)


class Health(Watcher):
    """What the API says of a cluster's health, looked at all the time; `seen` are its words and their reasons."""

    def __init__(self, api: Api, cluster: str) -> None:
        super().__init__(pause=0.05)
        self.api, self.cluster = api, cluster
        self.seen: list[tuple[str, dict[str, str]]] = []

    def look(self) -> None:
        if found := self.api.show(self.cluster):
            said = (found["health_status"], found["health_status_reason"])
            if said not in self.seen:
                self.seen.append(said)

    def blames(self, names: list[str]) -> bool:
        """Tell whether the cluster was called unhealthy on account of these nodes, or of an engine that is silent."""
        bad = [reasons for status, reasons in list(self.seen) if status in ("UNHEALTHY", "UNKNOWN")]
        own = [reasons.get(f"{name}.Ready", "True") for reasons in bad for name in names]
        return any(reason != "True" for reason in own) or any(reasons.get("api", "ok") != "ok" for reasons in bad)


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measured time although the test passes."""

    def told(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    return told


def strike(api: Api, host: Host, cluster: str, size: tuple[int, int], blow: Blow, *victims: Container) -> float:
    """Hit nodes and wait until the cluster is whole and says so, as it says before that it is not; return seconds."""
    names = [str(node.name) for node in victims]
    with Health(api, cluster) as health:
        began = time.monotonic()
        for node in victims:
            blow(node)
        until(lambda: health.blames(names), HEAL_SECONDS)
        until(lambda: host.is_whole(cluster, *size) and api.healthy(cluster), HEAL_SECONDS)
        seconds = time.monotonic() - began
    host.check_whole(cluster, *size)
    return seconds


@pytest.fixture(scope="module")
def small(api: Api) -> Iterator[str]:
    """A cluster of one manager and one worker."""
    made = api.made("faults-small", nodes=1)
    yield made
    api.remove(made)


@blows(kill, destroy)
def test_a_worker_dies(api: Api, host: Host, small: str, blow: Blow, tell: Callable[[str], None]) -> None:
    before = host.belongings()
    seconds = strike(api, host, small, (1, 1), blow, *host.nodes(small, "worker"))
    tell(f"a worker ({blow.__name__}): whole again after {seconds:.1f} s")
    assert host.belongings() == before


@blows(remove)
def test_the_only_manager_dies(api: Api, host: Host, small: str, blow: Blow, tell: Callable[[str], None]) -> None:
    """What the cluster knew is in the manager's data: with it gone, a new cluster of the same nodes is formed."""
    before = host.belongings()
    ids = member_ids(host.nodes(small, "master")[0])
    seconds = strike(api, host, small, (1, 1), blow, *host.nodes(small, "master"))
    tell(f"the only manager ({blow.__name__}): whole again after {seconds:.1f} s")
    assert host.belongings() == before
    if blow is not destroy:
        assert member_ids(host.nodes(small, "master")[0]) == ids


@pytest.mark.slow
def test_all_nodes_die_at_once(api: Api, host: Host, small: str, tell: Callable[[str], None]) -> None:
    seconds = strike(api, host, small, (1, 1), kill, *host.nodes(small))
    tell(f"all nodes: whole again after {seconds:.1f} s")


@pytest.fixture(scope="module")
def quorum(api: Api) -> Iterator[str]:
    """A cluster of three managers."""
    made = api.made("faults-quorum", nodes=0, managers=3)
    yield made
    api.remove(made)


def leader_last(host: Host, cluster: str) -> list[Container]:
    """Return the managers, their leader last."""
    nodes = host.nodes(cluster, "master")
    code, leader = inside(nodes[0], "docker -H unix:///run/docker.sock node ls -f role=manager | grep Leader")
    assert code == 0, leader
    return sorted(nodes, key=lambda node: str(node.name) in leader)


@blows(kill)
def test_a_manager_of_three_dies(api: Api, host: Host, quorum: str, blow: Blow, tell: Callable[[str], None]) -> None:
    *_, leader = leader_last(host, quorum)
    before = host.belongings()
    seconds = strike(api, host, quorum, (3, 0), blow, leader)
    tell(f"the leader of three ({blow.__name__}): whole again after {seconds:.1f} s")
    assert host.belongings() == before


@pytest.mark.slow
@pytest.mark.parametrize("blow", [kill, destroy], ids=lambda blow: blow.__name__)
def test_the_quorum_is_lost(api: Api, host: Host, quorum: str, blow: Blow, tell: Callable[[str], None]) -> None:
    """With their data gone the two can never agree again with the third, which then goes on alone with what it knew."""
    one, two, three = leader_last(host, quorum)
    code, said = inside(one, "docker -H unix:///run/docker.sock network create -d overlay kept")
    assert code == 0, said
    seconds = strike(api, host, quorum, (3, 0), blow, one, three)
    tell(f"two of three managers ({blow.__name__}): whole again after {seconds:.1f} s")
    assert inside(two, "docker -H unix:///run/docker.sock network rm kept")[0] == 0, "what the cluster knew is lost"


@pytest.mark.slow
def test_healing_may_be_switched_off(api: Api, host: Host) -> None:
    cluster = api.made("faults-unhealed", nodes=1, labels={"auto_healing_enabled": "false"})
    (worker,) = host.nodes(cluster, "worker")
    worker.kill()
    until(lambda: (api.show(cluster) or {})["health_status"] == "UNHEALTHY", HEAL_SECONDS)
    time.sleep(5)
    worker.reload()
    assert worker.status == "exited", "it was only to be reported"
    worker.start()
    until(lambda: api.healthy(cluster), HEAL_SECONDS)
    api.remove(cluster)


@contextlib.contextmanager
def hitting(host: Host, cluster: Callable[[], str], known: set[str], after: float) -> Iterator[None]:
    """Kill the first node that appears beside the known ones, `after` seconds after it was seen."""

    def fresh() -> Container | None:
        nodes = host.nodes(cluster()) if cluster() else []
        return next((node for node in nodes if node.name not in known), None)

    def work() -> None:
        victim = until(fresh)
        time.sleep(after)
        until(lambda: struck(victim))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        hit = pool.submit(work)
        yield
        hit.result()


def struck(node: Container) -> bool:
    """Kill a node; tell whether it ran, since only what has been started can be killed."""
    try:
        node.kill()
    except docker.errors.APIError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.7, 1.5])
def test_a_node_dies_while_the_cluster_is_made(api: Api, host: Host, after: float) -> None:
    before = host.belongings()
    made: list[str] = []
    with hitting(host, lambda: "".join(made), set(), after):
        made.append(api.create("faults-early", nodes=1))
    cluster = made[0]
    until(lambda: api.settled(cluster), HEAL_SECONDS)
    until(lambda: api.healthy(cluster), HEAL_SECONDS)
    until(lambda: host.is_whole(cluster, 1, 1), HEAL_SECONDS)
    api.remove(cluster)
    assert host.belongings() == before


@pytest.mark.slow
def test_nodes_die_while_the_cluster_is_resized(api: Api, host: Host, small: str) -> None:
    known = {str(node.name) for node in host.nodes(small)}
    with hitting(host, lambda: small, known, 0.7):
        api.resize(small, 2)
    until(lambda: api.settled(small) and host.is_whole(small, 1, 2), HEAL_SECONDS)
    host.nodes(small, "worker")[0].kill()
    api.resize(small, 1)
    until(lambda: api.settled(small) and host.is_whole(small, 1, 1), HEAL_SECONDS)


@pytest.mark.slow
def test_nodes_die_while_the_cluster_is_upgraded(api: Api, host: Host, small: str) -> None:
    """Both those that wait for their turn and those that had it."""
    template = api.template("sytest-next", NEXT_IMAGE)
    api.upgrade(small, template)
    until(lambda: sum(generation(node) == "second" for node in running(host, small)) == 1, HEAL_SECONDS)
    assert all(struck(node) for node in running(host, small))
    until(lambda: api.settled(small), HEAL_SECONDS)
    until(lambda: host.is_whole(small, 1, 1) and api.healthy(small), HEAL_SECONDS)
    assert {generation(node) for node in host.nodes(small)} == {"second"}


def running(host: Host, cluster: str) -> list[Container]:
    return [node for node in host.nodes(cluster) if node.status == "running"]


@pytest.mark.slow
def test_a_cluster_goes_while_its_nodes_die(api: Api, host: Host) -> None:
    before = host.belongings()
    cluster = api.made("faults-late", nodes=2)
    nodes = host.nodes(cluster)
    api.answer("DELETE", f"/clusters/{cluster}")
    for node in nodes:
        struck(node)
    until(lambda: api.show(cluster) is None)
    assert host.belongings() == before


@pytest.mark.slow
def test_a_node_that_hangs_is_seen(api: Api, host: Host, small: str) -> None:
    """Its machine runs and its engine is silent: the cluster is not called healthy."""
    (worker,) = host.nodes(small, "worker")
    assert address(worker)
    inside(worker, "kill -STOP $(pidof dockerd)")
    try:
        until(lambda: (api.show(small) or {})["health_status"] != "HEALTHY", HEAL_SECONDS)
    finally:
        with contextlib.suppress(docker.errors.APIError):
            inside(worker, "kill -CONT $(pidof dockerd)")
    until(lambda: host.is_whole(small, 1, 1) and api.healthy(small), HEAL_SECONDS)
