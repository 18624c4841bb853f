# SPDX-License-Identifier: Apache-2.0
"""Certificates for the users of a cluster: whose they are, for how long, by which CA, and who is refused."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.api.world import ADMIN, COLLEAGUE, MEMBER, OTHER, READER, World

CERTIFICATES = "/container-infra/v1/certificates"
CREDENTIALS = "/container-infra/v1/credentials"
LATEST = {"OpenStack_API_Version": "container-infra latest"}


def request(**names: str) -> str:
    """Return a signing request that claims to be an administrator's."""
    attributes = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}
    claimed = {"CN": "admin", "O": "system:masters", "OU": "terraform", **names}
    subject = x509.Name([x509.NameAttribute(attributes[word], text) for word, text in claimed.items()])
    ca = x509.BasicConstraints(ca=True, path_length=None)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(ca, critical=True)
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA512())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def signed(world: World, token: str = MEMBER) -> x509.Certificate:
    answer = world.call("POST", CERTIFICATES, {"cluster_uuid": "one", "csr": request()}, token)
    assert answer.status_code == 201, answer.text
    return x509.load_pem_x509_certificate(answer.json["pem"].encode())


def authority(world: World) -> x509.Certificate:
    return x509.load_pem_x509_certificate(world.call("GET", f"{CERTIFICATES}/one").json["pem"].encode())


def words(certificate: x509.Certificate) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject]


@pytest.mark.parametrize(("token", "user"), [(MEMBER, "ann"), (COLLEAGUE, "bob")])
def test_every_member_gets_a_certificate_in_its_own_name(full: World, token: str, user: str) -> None:
    certificate = signed(full, token)
    assert words(certificate) == [user.upper(), "id-demo", user]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(authority(full))


def test_it_is_good_for_a_day_or_as_long_as_the_options_say(full: World) -> None:
    for hours in (24, 0.5):
        full.conf.set_override("client_certificate_hours", hours, "machines")
        left = signed(full).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        assert left.total_seconds() == pytest.approx(hours * 3600, abs=60)


def test_the_cluster_remembers_for_whom(full: World) -> None:
    signed(full, COLLEAGUE)
    with full.store.reading() as tx:
        events = tx.events.of([tx.clusters.find("one", None).id])
    assert (events[-1].kind, events[-1].message) == ("certificate", "certificate signed for user BOB")


def test_the_request_is_told_back(full: World) -> None:
    csr = request()
    asked = {"cluster_uuid": "one", "csr": csr, "ca_cert_type": "kubernetes"}
    told = full.call("POST", CERTIFICATES, asked).json
    assert (told["csr"], told["ca_cert_type"]) == (csr, "kubernetes")
    assert told["cluster_uuid"] == full.call("GET", "/container-infra/v1/clusters/one").json["uuid"]


@pytest.mark.parametrize(("token", "status"), [(READER, 403), (OTHER, 400), (ADMIN, 201), ("", 401)])
def test_who_is_refused(full: World, token: str, status: int) -> None:
    answer = full.call("POST", CERTIFICATES, {"cluster_uuid": "one", "csr": request()}, token)
    assert answer.status_code == status
    assert status == 201 or "BEGIN" not in answer.text


def test_big_keys_of_terraform_and_small_ones_of_nobody(full: World) -> None:
    for bits, status in ((4096, 201), (1024, 400)):
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = builder.sign(rsa.generate_private_key(65537, bits), hashes.SHA512())
        text = csr.public_bytes(serialization.Encoding.PEM).decode()
        assert full.call("POST", CERTIFICATES, {"cluster_uuid": "one", "csr": text}).status_code == status


def test_a_cluster_without_a_ca_yet_is_a_conflict(world: World) -> None:
    template = {"coe": "swarm-mode", "image_id": "node", "name": "t"}
    world.call("POST", "/container-infra/v1/clustertemplates", template)
    world.call("POST", "/container-infra/v1/clusters", {"name": "one", "cluster_template_id": "t"})
    assert world.call("GET", f"{CERTIFICATES}/one").status_code == 409
    asked = {"cluster_uuid": "one", "csr": request()}
    assert world.call("POST", CERTIFICATES, asked).status_code == 409
    assert world.call("PATCH", f"{CERTIFICATES}/one").status_code == 409


@pytest.mark.parametrize("where", [CERTIFICATES, CREDENTIALS])
def test_after_a_rotation_the_next_ca_signs(full: World, where: str) -> None:
    first = authority(full)
    made = full.call("GET", "/container-infra/v1/clusters/one").json["uuid"]
    answer = full.call("PATCH", f"{where}/one", **LATEST)
    assert (answer.status_code, answer.json) == (202, {"uuid": made})
    # Until all nodes accept its clients, the old one signs.
    signed(full).verify_directly_issued_by(first)
    trust = full.ready(made).observed.nodes[0].trust
    assert trust == ("1..2" if where == CERTIFICATES else "2..2")
    second = authority(full)
    assert second.serial_number != first.serial_number
    signed(full).verify_directly_issued_by(second)
    assert full.call("GET", "/container-infra/v1/clusters/one").json["status"] == "UPDATE_COMPLETE"
