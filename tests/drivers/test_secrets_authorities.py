# SPDX-License-Identifier: Apache-2.0
"""A cluster's numbered CAs: who can still talk to whom while they are rotated, proved by real TLS handshakes."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tls_rig import handshake

from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model import errors
from stackyard.model.clusters import Cluster, ClusterObserved, Node
from stackyard.model.ports import TLSPair

ADDRESS = "10.181.3.2"
REFUSED = (ssl.SSLError, ConnectionError)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    path = tmp_path_factory.mktemp("authorities") / "key"
    ensure_key(path)
    return Authorities(FernetSecrets(path), X509())


def cluster(*trusts: str) -> Cluster:
    """Return a cluster whose nodes have these trusts."""
    nodes = tuple(Node(f"n{n}", "g", "master", ADDRESS, "ready", trust=trust) for n, trust in enumerate(trusts))
    observed = ClusterObserved(nodes=nodes)
    return Cluster(project_id="p", name="c", user_id="u", template_id="t", coe="swarm-mode", observed=observed)


def rotated(authorities: Authorities, made: Cluster, times: int = 1) -> Cluster:
    for _ in range(times):
        made = dataclasses.replace(made, secrets=authorities.make_next(made))
    return made


@pytest.fixture(scope="module")
def first(authorities: Authorities) -> Cluster:
    return rotated(authorities, cluster())


@pytest.fixture(scope="module")
def second(authorities: Authorities, first: Cluster) -> Cluster:
    return rotated(authorities, first)


def user(authorities: Authorities, made: Cluster, number: int) -> TLSPair:
    """Return what a user got while CA `number` was the active one."""
    authority = authorities.authority(made, number)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mary")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    signed = authorities.certificates.sign(authority, csr.public_bytes(serialization.Encoding.PEM).decode(), 1)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return TLSPair(authority.cert, signed, key.private_bytes(*form).decode())


def test_first_is_number_one_and_the_next_goes_on(authorities: Authorities, first: Cluster, second: Cluster) -> None:
    assert (authorities.newest(cluster()), authorities.newest(first), authorities.newest(second)) == (0, 1, 2)
    assert authorities.authority(second, 1) == authorities.authority(first)
    names = [x509.load_pem_x509_certificate(authorities.authority(second, n).cert.encode()).subject for n in (1, 2)]
    assert [name.rfc4514_string() for name in names] == [f"CN=cluster {first.id} CA {number}" for number in (1, 2)]


@pytest.mark.parametrize("trust", ["1..1", "1..2"])
@pytest.mark.parametrize("number", [1, 2])
def test_platform_and_users_reach_nodes_in_the_middle_of_a_rotation(
    authorities: Authorities, second: Cluster, tmp_path: pathlib.Path, trust: str, number: int
) -> None:
    node = authorities.issue(second, "n", ADDRESS, trust)
    assert handshake(tmp_path, node, authorities.client_for(second, trust), ADDRESS) == b"hello"
    if number == 1 or trust == "1..2":
        assert handshake(tmp_path, node, user(authorities, second, number), ADDRESS) == b"hello"


def test_who_trusts_only_the_new_one_is_served_by_nodes_that_have_it(
    authorities: Authorities, second: Cluster, tmp_path: pathlib.Path
) -> None:
    for trust in ("1..2", "2..2"):
        node = authorities.issue(second, "n", ADDRESS, trust)
        assert handshake(tmp_path, node, user(authorities, second, 2), ADDRESS) == b"hello"
    with pytest.raises(REFUSED):
        handshake(tmp_path, authorities.issue(second, "n", ADDRESS, "1..1"), user(authorities, second, 2), ADDRESS)


def test_revoked_client_is_refused(authorities: Authorities, second: Cluster, tmp_path: pathlib.Path) -> None:
    node = authorities.issue(second, "n", ADDRESS, "2..2")
    with pytest.raises(REFUSED):
        handshake(tmp_path, node, user(authorities, second, 1), ADDRESS)
    with pytest.raises(REFUSED):
        handshake(tmp_path, node, authorities.client_for(second, "1..1"), ADDRESS)


def test_other_clusters_are_refused_on_both_sides(
    authorities: Authorities, second: Cluster, tmp_path: pathlib.Path
) -> None:
    stranger = rotated(authorities, cluster(), 2)
    node = authorities.issue(second, "n", ADDRESS, "1..2")
    for client in (user(authorities, stranger, 1), user(authorities, stranger, 2)):
        with pytest.raises(REFUSED):
            handshake(tmp_path, node, client, ADDRESS)
        with pytest.raises(REFUSED):
            handshake(tmp_path, node, dataclasses.replace(client, ca=authorities.certificate(second)), ADDRESS)


def test_third_serves_who_trusts_the_second(authorities: Authorities, second: Cluster, tmp_path: pathlib.Path) -> None:
    third = dataclasses.replace(rotated(authorities, second), trusted_from=2)
    pruned = dataclasses.replace(third, secrets=authorities.prune(third))
    node = authorities.issue(pruned, "n", ADDRESS, "2..3")
    for number in (2, 3):
        assert handshake(tmp_path, node, user(authorities, pruned, number), ADDRESS) == b"hello"
    with pytest.raises(REFUSED):
        handshake(tmp_path, node, user(authorities, second, 1), ADDRESS)


def test_openssl_verifies_the_chain_strictly_by_the_old_ca(
    authorities: Authorities, second: Cluster, tmp_path: pathlib.Path
) -> None:
    leaf, cross = authorities.issue(second, "n", ADDRESS, "1..2").cert.split("-----END CERTIFICATE-----\n")[:2]
    for name, text in (("leaf", leaf), ("cross", cross)):
        (tmp_path / name).write_text(text + "-----END CERTIFICATE-----\n")
    (tmp_path / "ca").write_text(authorities.authority(second, 1).cert)
    command = "openssl verify -x509_strict -purpose sslserver -CAfile ca -untrusted cross leaf"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("trusts", "active"),
    [((), 2), (("1..1",), 1), (("1..2", "1..1"), 1), (("1..2", "1..2"), 2), (("2..2", "1..2"), 2), (("2..2",), 2)],
)
def test_active_is_the_newest_that_all_nodes_accept(
    authorities: Authorities, second: Cluster, trusts: tuple[str, ...], active: int
) -> None:
    seen = dataclasses.replace(second, observed=cluster(*trusts).observed)
    assert authorities.active(seen) == active
    assert authorities.certificate(seen) == authorities.authority(seen).cert == authorities.authority(seen, active).cert


def test_none_is_active_between_revoked_and_new(authorities: Authorities, second: Cluster) -> None:
    seen = dataclasses.replace(second, observed=cluster("1..1", "2..2").observed)
    for ask in (authorities.active, authorities.authority, authorities.certificate):
        with pytest.raises(errors.Conflict, match="try again in a moment"):
            ask(seen)


def test_each_node_is_reached_with_what_it_accepts(authorities: Authorities, second: Cluster) -> None:
    seen = dataclasses.replace(second, observed=cluster("1..1", "2..2").observed)
    pairs = {node.name: node.tls for node in authorities.access(seen).nodes}
    assert pairs == {"n0": authorities.client_for(seen, "1..1"), "n1": authorities.client_for(seen, "2..2")}
    assert pairs["n0"] != pairs["n1"]


def test_pruned_are_gone_and_the_newest_stays(authorities: Authorities, second: Cluster) -> None:
    assert authorities.prune(second) == second.secrets
    revoked = dataclasses.replace(second, trusted_from=2)
    pruned = dataclasses.replace(revoked, secrets=authorities.prune(revoked))
    with pytest.raises(errors.Conflict, match="number 1; it has 2"):
        authorities.authority(pruned, 1)
    assert authorities.prune(pruned) == pruned.secrets
    assert authorities.newest(rotated(authorities, pruned)) == 3
    beyond = dataclasses.replace(pruned, trusted_from=9)
    assert authorities.prune(beyond) == pruned.secrets


def test_sealed_form_of_one_authority_is_number_one(
    authorities: Authorities, first: Cluster, tmp_path: pathlib.Path
) -> None:
    clear = json.loads(authorities.secrets.open(str(first.secrets)))["1"]
    old = {name: clear[name] for name in ("cert", "key", "client_cert", "client_key")}
    made = dataclasses.replace(first, secrets=authorities.secrets.seal(json.dumps(old)))
    assert authorities.authority(made) == authorities.authority(first)
    node = authorities.issue(rotated(authorities, made), "n", ADDRESS, "1..2")
    assert handshake(tmp_path, node, authorities.client_for(made, "1..1"), ADDRESS) == b"hello"


def test_without_any_it_is_said(authorities: Authorities) -> None:
    with pytest.raises(errors.Conflict, match="no certificate authority yet"):
        authorities.authority(cluster("1..1"))


def test_private_keys_do_not_show(authorities: Authorities, second: Cluster) -> None:
    assert "PRIVATE" not in repr(authorities._kept(second)) + str(second.secrets)
