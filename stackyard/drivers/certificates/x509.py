# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities and what they sign (X.509 v3, RFC 5280): the `Certificates` port.

Called by the worker for each cluster's own CA and by the one-machine platform for its registry.
Knows nothing of clusters; keeps nothing: the caller stores what is returned.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Mapping, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stackyard.model import errors
from stackyard.model.ports import Authority, TLSPair

YEARS_10 = 3650
SKEW = datetime.timedelta(hours=1)  # clocks of nodes and clients may be behind ours
MIN_RSA_BITS = 2048

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
_CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
_NAMES = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """What an end-entity certificate shall say."""

    subject: x509.Name
    key: PublicKey
    purposes: Sequence[x509.ObjectIdentifier]
    days: float = YEARS_10
    names: Sequence[x509.GeneralName] = ()


def _pem(key: Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _subject(name: str) -> x509.Name:
    """Return a subject of one common name, cut to the 64 characters that RFC 5280 allows."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: x509.Name, key: PublicKey, days: float) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(subject: Mapping[str, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(_NAMES[word], text[:64]) for word, text in subject.items() if text])


def _signer_of(authority: Authority) -> tuple[x509.Certificate, Key]:
    key = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return x509.load_pem_x509_certificate(authority.cert.encode()), key


def _issuer(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _issue(authority: Authority, leaf: _Leaf) -> str:
    ca, ca_key = _signer_of(authority)
    builder = (
        _builder(leaf.subject, leaf.key, leaf.days)
        .issuer_name(ca.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(leaf.purposes), critical=False)
        .add_extension(_issuer(ca), critical=False)
    )
    if leaf.names:
        builder = builder.add_extension(x509.SubjectAlternativeName(leaf.names), critical=False)
    return _text(builder.sign(ca_key, hashes.SHA256()))


def _request(csr: str) -> tuple[x509.CertificateSigningRequest, PublicKey]:
    """Return the parsed request and its key; raises BadInput unless its owner proved to hold a fit key."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        valid, key = request.is_signature_valid, request.public_key()
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise errors.BadInput(f"the certificate signing request is no PKCS#10 in PEM: {error}") from None
    if not valid:
        raise errors.BadInput("the certificate signing request is not signed by its own key")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise errors.BadInput(f"the request's RSA key has {key.key_size} bits; {MIN_RSA_BITS} are needed")
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise errors.BadInput("the request's key is neither RSA nor elliptic-curve")
    return request, key


class X509:
    """Makes authorities (ECDSA P-256) and issues certificates; implements `ports.Certificates`."""

    def authority(self, name: str) -> Authority:
        """Make a self-signed CA, valid 10 years, that may sign end-entity certificates and its successor's."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject(name)
        builder = (
            _builder(subject, key.public_key(), YEARS_10)
            .issuer_name(subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(authority=True), critical=True)
        )
        return Authority(_text(builder.sign(key, hashes.SHA256())), _pem(key))

    def server(self, authority: Authority, name: str, address: str) -> TLSPair:
        """Issue a server certificate for a host name and an IP address, valid 10 years."""
        return self.server_of(authority, [name], [address])

    def server_of(
        self, authority: Authority, names: Sequence[str], addresses: Sequence[str], days: float = YEARS_10
    ) -> TLSPair:
        """Issue a server certificate for several host names and IP addresses, by default valid 10 years."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        leaf = _Leaf(_subject([*names, *addresses][0]), key.public_key(), _SERVER, days, alternatives)
        return TLSPair(authority.cert, _issue(authority, leaf), _pem(key))

    def client(self, authority: Authority, name: str, days: int) -> TLSPair:
        """Issue a certificate that a client may authenticate with for `days` days."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _Leaf(_subject(name), key.public_key(), _CLIENT, days)
        return TLSPair(authority.cert, _issue(authority, leaf), _pem(key))

    def signer(self, authority: Authority, name: str, key: str) -> str:
        """Issue a certificate, valid 10 years, for a private key (PEM) that signs other things, such as tokens."""
        private = serialization.load_pem_private_key(key.encode(), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        return _issue(authority, _Leaf(_subject(name), private.public_key(), _CLIENT))

    def sign(self, authority: Authority, csr: str, hours: float, subject: Mapping[str, str] | None = None) -> str:
        """Sign a PEM request for client authentication; of its content only the key and the subject may be kept.

        `subject` (CN, O, OU), where given, replaces the request's own.
        """
        request, key = _request(csr)
        name = request.subject if subject is None else _name(subject)
        return _issue(authority, _Leaf(name, key, _CLIENT, hours / 24))

    def cross(self, authority: Authority, successor: Authority) -> str:
        """Return the successor's CA certificate with the authority as its issuer (RFC 5280, section 3.2)."""
        old, key = _signer_of(authority)
        new = x509.load_pem_x509_certificate(successor.cert.encode())
        public = new.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        builder = (
            _builder(new.subject, public, YEARS_10)
            .issuer_name(old.subject)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(_issuer(old), critical=False)
        )
        return _text(builder.sign(key, hashes.SHA256()))
