# SPDX-License-Identifier: Apache-2.0
"""Two projects with a cluster each: neither sees, enters or reaches what is the other's, however it tries.

Every probe that must fail is first shown to succeed where it may.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import docker
import docker.errors
import pytest
import requests
from docker.models.containers import Container

from stackyard.api.call import Body
from stackyard.api.container_infra.routes import ROUTES
from stackyard.drivers.registries.distribution import Signer
from stackyard.local import settings
from stackyard.local.state import State
from tests.platform.clusters import INNER, Api, Credentials, Host, address, inside, load, members, reaches, until

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

ABSENT = "00000000-0000-4000-8000-000000000000"
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/clusters/{cluster}"): [{"op": "replace", "path": "/node_count", "value": 2}],
    ("POST", "/v1/clusters/{cluster}/actions/resize"): {"node_count": 2},
    ("POST", "/v1/clusters/{cluster}/actions/upgrade"): {"cluster_template": ABSENT},
    ("POST", "/v1/clusters/{cluster}/nodegroups"): {"name": "mine", "node_count": 1},
    ("PATCH", "/v1/clusters/{cluster}/nodegroups/{nodegroup}"): [
        {"op": "replace", "path": "/max_node_count", "value": 3}
    ],
    ("PATCH", "/v1/certificates/{cluster}"): {},
    ("PATCH", "/v1/credentials/{cluster}"): {},
}
ENGINE, SWARM, GOSSIP = 2376, 2377, 7946


@pytest.fixture(scope="module")
def ours(api: Api) -> Iterator[str]:
    cluster = api.made("isolated-ours", nodes=1)
    yield cluster
    api.remove(cluster)


@pytest.fixture(scope="module")
def theirs(other: Api) -> Iterator[str]:
    cluster = other.made("isolated-theirs", nodes=1)
    yield cluster
    other.remove(cluster)


@pytest.fixture(scope="module")
def node(host: Host, ours: str) -> Container:
    """A node of ours."""
    return host.nodes(ours, "master")[0]


@pytest.fixture(scope="module")
def foreign(host: Host, theirs: str) -> Container:
    """A node of the other project, whose root tries what follows."""
    return host.nodes(theirs, "worker")[0]


def paths() -> list[tuple[str, str]]:
    """Return all requests on one cluster that there are."""
    return [(route.method, route.path) for route in ROUTES if "{cluster}" in route.path]


@pytest.mark.parametrize(("method", "path"), paths())
@pytest.mark.parametrize("word", ["id", "name"])
def test_no_request_of_another_project_finds_it(
    api: Api, other: Api, ours: str, method: str, path: str, word: str
) -> None:
    body = BODIES.get((method, path))
    takes_json = any((r.method, r.path, r.body) == (method, path, Body.JSON) for r in ROUTES)
    assert not takes_json or body is not None, "a new request: say what body it takes"
    concrete = path.removeprefix("/v1").replace("{nodegroup}", "default-worker")
    cluster = ours if word == "id" else "isolated-ours"
    answer = other.answer(method, concrete.replace("{cluster}", cluster), body)
    absent = other.answer(method, concrete.replace("{cluster}", ABSENT), body)
    assert answer.status_code == absent.status_code == 404, answer.text
    assert answer.text.replace(cluster, "") == absent.text.replace(ABSENT, ""), "it tells that there is one"
    if method == "GET":
        assert api.answer(method, concrete.replace("{cluster}", cluster)).status_code == 200


def test_no_certificate_for_another_projects_cluster(api: Api, other: Api, ours: str, tmp_path: pathlib.Path) -> None:
    api.credentials(ours, tmp_path / "own")
    with pytest.raises(AssertionError, match=r"40[04]"):
        other.credentials(ours, tmp_path / "foreign")


def test_lists_and_figures_hold_the_own_project_only(api: Api, other: Api, ours: str, theirs: str) -> None:
    assert ours in [each["uuid"] for each in api.call("GET", "/clusters")["clusters"]]
    for path in ("/clusters", "/clusters/detail", "/clusters?limit=1000"):
        assert [each["uuid"] for each in other.call("GET", path)["clusters"]] == [theirs]
    projects = [each.session.get_project_id() for each in (api, other)]
    own = other.call("GET", f"/stats?project_id={projects[1]}&type=cluster")
    assert own["clusters"] == 1
    assert other.answer("GET", f"/stats?project_id={projects[0]}&type=cluster").status_code in (403, 404)


def test_a_certificate_of_one_cluster_opens_no_other(
    api: Api, other: Api, ours: str, theirs: str, node: Container, foreign: Container, tmp_path: pathlib.Path
) -> None:
    good = other.credentials(theirs, tmp_path / "theirs")
    assert good.docker(address(foreign)).ping()
    with pytest.raises(requests.exceptions.SSLError):  # they do not take our engine for theirs
        good.docker(address(node)).ping()
    check_refused(api, ours, node, good, tmp_path / "ours")


def test_a_nodes_own_certificate_is_no_clients(
    api: Api, ours: str, node: Container, foreign: Container, tmp_path: pathlib.Path
) -> None:
    for victim, thief in ((node, foreign), (node, node)):
        stolen = Credentials(tmp_path / str(thief.name))
        stolen.folder.mkdir()
        for name in ("cert.pem", "key.pem", "ca.pem"):
            code, text = inside(thief, f"cat /etc/stackyard/tls/{name}")
            assert code == 0, text
            (stolen.folder / name).write_text(text)
        check_refused(api, ours, victim, stolen, tmp_path / f"{thief.name}-ours")


def check_refused(api: Api, cluster: str, victim: Container, stolen: Credentials, folder: pathlib.Path) -> None:
    """Assert that the engine itself refuses the stolen certificate: all else is as with a good one."""
    made = api.credentials(cluster, folder)
    assert made.docker(address(victim)).ping()
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_bytes((stolen.folder / name).read_bytes())
    # A refusal comes after the handshake (TLS 1.3), as an alert or, to who is still writing, as the end.
    with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
        made.docker(address(victim)).ping()


def test_node_networks_do_not_reach_each_other(host: Host, ours: str, node: Container, foreign: Container) -> None:
    friend = host.nodes(ours, "worker")[0]
    for port in (ENGINE, SWARM, GOSSIP):
        assert reaches(friend, address(node), port), "the probe itself works"
        assert not reaches(foreign, address(node), port)
    assert inside(friend, f"ping -c1 -W2 {address(node)} || echo > /dev/tcp/{address(node)}/{ENGINE}")[0] == 0


def test_the_registry_is_no_way_from_one_network_to_another(
    host: Host, ours: str, node: Container, foreign: Container
) -> None:
    """It is on both networks; datagrams (of an overlay network, say) need no way back to do harm."""
    friend = host.nodes(ours, "worker")[0]
    registry = inside(foreign, "getent hosts registry.stackyard | cut -d' ' -f1")[1].strip()
    assert reaches(foreign, registry, 5000)
    target = address(node)
    try:
        for source in (friend, foreign):
            assert inside(node, f"iptables -I INPUT -p udp -s {address(source)} --dport 9 -j ACCEPT")[0] == 0
        code, said = inside(foreign, f"ip route add {target}/32 via {registry}")
        assert code == 0, said
        for source in (friend, foreign):
            inside(source, f"for i in 1 2 3; do echo x > /dev/udp/{target}/9; sleep 0.1; done")
        counted = inside(node, "iptables -nvxL INPUT | grep 'udp dpt:9$'")[1]
        packets = {line.split()[7]: int(line.split()[0]) for line in counted.splitlines()}
        assert packets == {address(friend): 3, address(foreign): 0}
    finally:
        inside(foreign, f"ip route del {target}/32")
        for source in (friend, foreign):
            inside(node, f"iptables -D INPUT -p udp -s {address(source)} --dport 9 -j ACCEPT")


def test_an_applications_container_reaches_no_foreign_node(
    host: Host, other: Api, theirs: str, node: Container, foreign: Container, tmp_path: pathlib.Path
) -> None:
    client = other.credentials(theirs, tmp_path / "theirs").docker(address(foreign))
    image = load(host, client)
    own = address(host.nodes(theirs, "master")[0])
    for port in (ENGINE, SWARM):
        assert connects(client, image, own, port), "the probe itself works"
        assert not connects(client, image, address(node), port)
    gateway = ".".join([*address(node).split(".")[:3], "1"])
    assert not connects(client, image, gateway, ENGINE)


def connects(client: docker.DockerClient, image: str, where: str, port: int) -> bool:
    """Tell whether a connection from a container on the node comes about."""
    script = f"nc -w 2 {where} {port} < /dev/null"
    try:
        client.containers.run(image, ["/bin/sh", "-c", script], remove=True)
    except docker.errors.ContainerError:
        return False
    return True


def test_a_join_token_is_of_no_use_on_another_projects_network(
    host: Host, ours: str, theirs: str, other: Api, node: Container, foreign: Container
) -> None:
    token = inside(node, f"{INNER} swarm join-token -q worker")[1].strip()
    assert token.startswith("SWMTKN-")
    before = members(node)
    script = f"{INNER} swarm leave -f && timeout 3 {INNER} swarm join --token {token} {address(node)}:{SWARM}"
    assert inside(foreign, script)[0] != 0
    assert members(node) == before
    # It left its own cluster, which takes it in again.
    inside(foreign, f"{INNER} swarm leave -f")
    other.resize(theirs, 1)  # nothing new, but it has the cluster looked at
    until(lambda: [state for _, state, _ in members(host.nodes(theirs, "master")[0])] == ["Ready", "Ready"])
    until(lambda: other.healthy(theirs))


def test_nodes_reach_neither_platform_nor_outer_engine(
    host: Host, platform: dict[str, str], node: Container, foreign: Container
) -> None:
    """Their networks' gateways are this machine, where platform and Engine serve on loopback and Unix sockets only."""
    options = settings.read(State(platform["STACKYARD_STATE_DIR"]))
    ports = [options[part].port for part in ("api", "identity", "registry", "router")]
    gateways = [".".join([*address(each).split(".")[:3], "1"]) for each in (node, foreign)]
    bridge = host.engine.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"]
    gateways.append(bridge.rpartition(".")[0] + ".1")
    script = "".join(
        f"(echo > /dev/tcp/{where}/{port}) 2>/dev/null && echo {where}:{port};"
        for where in gateways
        for port in (*ports, 2375, ENGINE)
    )
    assert inside(foreign, f"{script} true") == (0, "")


def test_a_route_to_this_machines_loopback_leads_nowhere(platform: dict[str, str], foreign: Container) -> None:
    """A neighbour may send packets for 127.0.0.1 to a bridge of this machine, which must not take them."""
    port = settings.read(State(platform["STACKYARD_STATE_DIR"])).api.port
    lead = "ip route add 127.0.0.1/32 via $(ip route show default | cut -d' ' -f3) dev eth0 src $(hostname -i) table 77"
    script = f"""
        echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; {lead}
        ip rule add pref 2 lookup local; ip rule add pref 1 to 127.0.0.1 lookup 77; ip rule del pref 0
        ip route get 127.0.0.1 | head -1
        timeout 2 bash -c 'echo > /dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo CONNECTED
        ip rule add pref 0 lookup local; ip rule del pref 1; ip rule del pref 2; ip route flush table 77
    """
    said = inside(foreign, script)[1]
    assert "via" in said, said
    assert "CONNECTED" not in said


def test_nodes_hold_nothing_of_this_machine(host: Host, ours: str) -> None:
    for each in host.nodes(ours):
        attributes = each.attrs["HostConfig"]
        assert [mount["Type"] for mount in each.attrs["Mounts"]] == ["volume"], "no folder of this machine is in it"
        modes = [attributes[mode] for mode in ("PidMode", "IpcMode", "UTSMode", "NetworkMode")]
        assert "host" not in modes
        engine = inside(each, INNER + " info --format '{{.Name}}'")[1].strip()
        assert engine == each.name, "the only Engine in a node is its own"


def test_the_registry_gives_nothing_without_the_platforms_word(platform: dict[str, str], foreign: Container) -> None:
    state = pathlib.Path(platform["STACKYARD_STATE_DIR"])
    url = f"https://127.0.0.1:{settings.read(State(state)).registry.port}/v2/library/redis/manifests/7"
    signer = Signer((state / "secrets/token.key").read_text(), (state / "secrets/token.crt").read_text())
    for repository, status in (("library/redis", 200), ("library/other", 401), (None, 401)):
        token = {"Authorization": f"Bearer {signer.token([(repository, ['pull'])])}"} if repository else {}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(url, headers=token, verify=str(state / "secrets/registry-ca.crt"), timeout=20)
        assert answer.status_code == status
    code, said = inside(foreign, f"{INNER} pull registry.stackyard:5000/library/redis:7")
    assert code != 0, said
