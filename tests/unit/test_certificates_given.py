# SPDX-License-Identifier: Apache-2.0
"""Certificates that users bring: what fits is taken, what does not is told."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from stackyard.drivers.certificates import given
from stackyard.drivers.certificates.hosts import RENEW, HostCertificates
from stackyard.drivers.certificates.x509 import X509
from stackyard.model import errors
from stackyard.model.ports import Authority

CA = X509().authority("own")
PAIR = X509().server_of(CA, ["www.example.org", "*.shop.example.org"], [], days=10)


@pytest.mark.parametrize("host", ["www.example.org", "a.shop.example.org"])
def test_what_fits_is_taken_with_its_chain(host: str) -> None:
    found = given.check(f"{PAIR.cert}\n{CA.cert}", PAIR.key, host)
    assert found.cert.count("BEGIN CERTIFICATE") == 2
    assert found.names == ("www.example.org", "*.shop.example.org")
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("cert", "key", "host", "words"),
    [
        (PAIR.cert, PAIR.key, "example.org", "does not cover example.org"),
        (PAIR.cert, PAIR.key, "a.b.shop.example.org", "does not cover"),
        (PAIR.cert, CA.key, "www.example.org", "does not belong"),
        ("x", PAIR.key, "www.example.org", "no PEM"),
        (PAIR.cert, "x", "www.example.org", "no private key"),
        (PAIR.cert + X509().authority("other").cert, PAIR.key, "www.example.org", "chain is broken"),
        (PAIR.cert * 30, PAIR.key, "www.example.org", "KiB"),
    ],
)
def test_what_does_not_fit_is_told(cert: str, key: str, host: str, words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        given.check(cert, key, host)


def test_what_has_expired_or_is_for_clients_is_refused() -> None:
    old = X509().server_of(CA, ["www.example.org"], [], days=-0.01)
    with pytest.raises(errors.BadInput, match="expired"):
        given.check(old.cert, old.key, "www.example.org")
    client = X509().client(CA, "www.example.org", 1)
    with pytest.raises(errors.BadInput, match="does not cover"):
        given.check(client.cert, client.key, "www.example.org")


def test_processes_agree_on_a_certificate_that_was_forgotten_and_issued_anew(tmp_path: pathlib.Path) -> None:
    one, two = HostCertificates(tmp_path), HostCertificates(tmp_path)
    one.prepare("tests")
    assert one.certificate("www.example.org") == two.certificate("www.example.org")
    two.forget("www.example.org")
    assert two.certificate("www.example.org") == one.certificate("www.example.org")


def test_the_platform_issues_once_and_renews_in_time(tmp_path: pathlib.Path) -> None:
    one, two = HostCertificates(tmp_path), HostCertificates(tmp_path)
    one.prepare("test")
    two.prepare("again")
    first = one.certificate("a.localhost")
    assert two.certificate("a.localhost") == one.certificate("a.localhost") == first
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.localhost.pem").stat().st_mode & 0o777 == 0o600
    near = X509().server_of(_authority(tmp_path), ["b.localhost"], [], days=RENEW.days - 1)
    (tmp_path / "b.localhost.pem").write_text(near.pem)
    assert one.certificate("b.localhost").cert != near.cert
    foreign = X509().server_of(CA, ["c.localhost"], [])
    (tmp_path / "c.localhost.pem").write_text(foreign.pem)
    assert one.certificate("c.localhost").cert != foreign.cert


def test_an_address_is_covered_by_its_own_certificate_and_by_one_that_is_for_it_too(tmp_path: pathlib.Path) -> None:
    kept = HostCertificates(tmp_path)
    kept.prepare("test")
    for pair, host in (
        (kept.certificate("192.0.2.7"), "192.0.2.7"),
        (kept.certificate("localhost", ["192.0.2.8"]), "192.0.2.8"),
        (kept.certificate("localhost", ["192.0.2.8"]), "localhost"),
    ):
        _verify(tmp_path, pair.cert, "-verify_ip" if host[0].isdigit() else "-verify_hostname", host)
    first = kept.certificate("localhost", ["192.0.2.8"])
    assert HostCertificates(tmp_path).certificate("localhost") == first, "what is for more is for less, too"
    more = HostCertificates(tmp_path).certificate("localhost", ["192.0.2.8", "192.0.2.9"])
    assert more != first
    _verify(tmp_path, more.cert, "-verify_ip", "192.0.2.9")


def _verify(folder: pathlib.Path, cert: str, *words: str) -> None:
    (folder / "leaf").write_text(cert)
    command = ["openssl", "verify", "-x509_strict", *words, "-CAfile", "stackyard-ca.crt", "leaf"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _authority(folder: pathlib.Path) -> Authority:
    return Authority((folder / "stackyard-ca.crt").read_text(), (folder / "ca.key").read_text())
