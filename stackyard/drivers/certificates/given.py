# SPDX-License-Identifier: Apache-2.0
"""Checks a certificate and key that a user brings for a host name. Called by the API; keeps nothing."""

from __future__ import annotations

import dataclasses
import datetime
import itertools

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from stackyard.drivers.certificates.x509 import MIN_RSA_BITS
from stackyard.model import errors

MAX_CHAIN = 10
MAX_BYTES = 16 * 1024


@dataclasses.dataclass(frozen=True)
class Checked:
    """What a fit certificate says: its DNS names and when it ends; `cert` and `key` are PEM and nothing else."""

    cert: str
    key: str = dataclasses.field(repr=False)
    names: tuple[str, ...]
    expires_at: datetime.datetime


def check(cert: str, key: str, host: str) -> Checked:
    """Return what fits together and covers the host now; raises BadInput saying what does not."""
    if len(cert) + len(key) > MAX_BYTES:
        raise errors.BadInput(f"certificate and key together have more than {MAX_BYTES // 1024} KiB")
    chain, private = _chain(cert), _key(key)
    leaf = chain[0]
    if _public(leaf.public_key()) != _public(private.public_key()):
        raise errors.BadInput("the key does not belong to the certificate (its own must come first in the file)")
    names = _names(leaf)
    if not any(covers(name, host) for name in names):
        raise errors.BadInput(f"the certificate does not cover {host}; it is for: {', '.join(names[:5]) or 'no name'}")
    _check_time(leaf)
    _check_purpose(leaf)
    _check_order(chain)
    return Checked(
        "".join(each.public_bytes(Encoding.PEM).decode() for each in chain),
        private.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
        tuple(names),
        leaf.not_valid_after_utc,
    )


def covers(name: str, host: str) -> bool:
    """Tell whether a certificate's name is the host's, by RFC 6125: `*` stands for one label."""
    name = name.lower().rstrip(".")
    return name == host or (name.startswith("*.") and "." in host and name[2:] == host.split(".", 1)[1])


def _chain(cert: str) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(cert.encode())
    except ValueError as error:
        raise errors.BadInput(f"the certificate is no PEM: {error}") from None
    if len(chain) > MAX_CHAIN:
        raise errors.BadInput(f"the file holds {len(chain)} certificates; a chain has at most {MAX_CHAIN}")
    return chain


def _key(key: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        private = serialization.load_pem_private_key(key.encode(), None)
    except TypeError:
        raise errors.BadInput("the key is encrypted; take its password off (openssl pkey -in KEY -out NEW)") from None
    except (ValueError, UnsupportedAlgorithm):
        raise errors.BadInput("the key is no private key in PEM") from None
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < MIN_RSA_BITS:
        raise errors.BadInput(f"the RSA key has {private.key_size} bits; {MIN_RSA_BITS} are needed")
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise errors.BadInput("the key is neither RSA nor elliptic-curve")
    return private


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.DNSName)


def _check_time(leaf: x509.Certificate) -> None:
    now = datetime.datetime.now(datetime.UTC)
    if leaf.not_valid_after_utc <= now:
        raise errors.BadInput(f"the certificate expired at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if leaf.not_valid_before_utc > now + datetime.timedelta(minutes=5):
        raise errors.BadInput(f"the certificate is valid from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC only")


def _check_purpose(leaf: x509.Certificate) -> None:
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        raise errors.BadInput("the certificate is not for servers (its extended key usage says so)")


def _check_order(chain: list[x509.Certificate]) -> None:
    for each, issuer in itertools.pairwise(chain):
        try:
            each.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            name = issuer.subject.rfc4514_string()[:100]
            raise errors.BadInput(
                f"the chain is broken: {name} did not issue the certificate before it; "
                "put the host's own first, then its issuer, and so on"
            ) from None
