# SPDX-License-Identifier: Apache-2.0
"""The X.509 driver, proved by real TLS handshakes and by OpenSSL's strict verifier."""

import pathlib
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID
from tls_rig import handshake

from stackyard.drivers.certificates.x509 import X509
from stackyard.model import errors
from stackyard.model.ports import Authority, TLSPair

driver = X509()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return driver.authority("cluster 1")


@pytest.mark.parametrize("name", ["node-1", "10.181.3.2"])
def test_mutual_tls_by_name_and_by_address(tmp_path: pathlib.Path, authority: Authority, name: str) -> None:
    server = driver.server(authority, "node-1", "10.181.3.2")
    assert handshake(tmp_path, server, driver.client(authority, "worker", 1), name) == b"hello"


def test_another_name_is_refused(tmp_path: pathlib.Path, authority: Authority) -> None:
    server = driver.server(authority, "node-1", "10.181.3.2")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, server, driver.client(authority, "worker", 1), "10.181.3.3")


def test_client_of_another_authority_is_refused(tmp_path: pathlib.Path, authority: Authority) -> None:
    stranger = driver.client(driver.authority("cluster 2"), "worker", 1)
    stranger = TLSPair(authority.cert, stranger.cert, stranger.key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(tmp_path, driver.server(authority, "n", "10.0.0.1"), stranger, "n")


def test_client_certificate_may_not_serve(tmp_path: pathlib.Path, authority: Authority) -> None:
    client = driver.client(authority, "n", 1)
    with pytest.raises(ssl.SSLError):
        handshake(tmp_path, client, client, "n")


def request(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, algorithm: hashes.HashAlgorithm | None) -> str:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "admin"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
        ]
    )
    wish = x509.BasicConstraints(ca=True, path_length=None)
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(wish, critical=True)
    return made.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def test_signed_request_keeps_subject_and_key_but_not_the_wish_to_be_an_authority(authority: Authority) -> None:
    key = rsa.generate_private_key(65537, 2048)
    signed = x509.load_pem_x509_certificate(driver.sign(authority, request(key, hashes.SHA512()), 30 * 24).encode())
    assert signed.subject.rfc4514_string() == "O=system:masters,CN=admin"
    assert signed.public_key() == key.public_key()
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (signed.not_valid_after_utc - signed.not_valid_before_utc).days == 30
    signed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert.encode()))


@pytest.mark.parametrize(
    "csr", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"]
)
def test_no_request_is_bad_input(authority: Authority, csr: str) -> None:
    with pytest.raises(errors.BadInput, match="PKCS#10"):
        driver.sign(authority, csr, 1)


def test_weak_and_unknown_keys_are_bad_input(authority: Authority) -> None:
    with pytest.raises(errors.BadInput, match="1024 bits"):
        driver.sign(authority, request(rsa.generate_private_key(65537, 1024), hashes.SHA256()), 1)
    with pytest.raises(errors.BadInput, match="neither RSA"):
        driver.sign(authority, request(ed25519.Ed25519PrivateKey.generate(), None), 1)


def test_openssl_accepts_the_chain_strictly(tmp_path: pathlib.Path, authority: Authority) -> None:
    pair = driver.server_of(authority, ["registry.stackyard", "localhost"], ["127.0.0.1", "::1"])
    (tmp_path / "ca").write_text(pair.ca)
    (tmp_path / "leaf").write_text(pair.cert)
    done = subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_ip",
            "127.0.0.1",
            "-CAfile",
            "ca",
            "leaf",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_private_keys_are_not_in_reprs(authority: Authority) -> None:
    pair = driver.client(authority, "x", 1)
    assert "PRIVATE" not in repr(pair) + repr(authority)
