# SPDX-License-Identifier: Apache-2.0
"""The platform's own CA for host names, and the certificates that it issues for them, kept in a folder.

`stackyard up` makes the CA once; the worker asks for a host's certificate, which is issued when there is none or the
last one is old. Several processes may ask at once. Knows no router.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import ipaddress
import os
import pathlib
from collections.abc import Collection, Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from stackyard.drivers.certificates.x509 import X509
from stackyard.model.ports import Authority, TLSPair

DAYS = 90
RENEW = datetime.timedelta(days=30)
CA = "stackyard-ca.crt"
KEY = "ca.key"


_Stamp = tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class _Kept:
    pair: TLSPair
    renew_at: datetime.datetime
    addresses: frozenset[str]

    def good(self, now: datetime.datetime, addresses: frozenset[str]) -> bool:
        """Tell whether it needs no successor, and is good for these addresses."""
        return self.renew_at > now and addresses <= self.addresses


class HostCertificates:
    """Certificates in `folder`: `stackyard-ca.crt`, `ca.key` (0600) and HOST.pem."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[_Stamp, _Kept]] = {}

    @property
    def ca(self) -> pathlib.Path:
        """Return the path of the CA's certificate, which clients are to trust."""
        return self._folder / CA

    def prepare(self, name: str) -> None:
        """Make the CA if there is none."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            if not self.ca.exists():
                made = X509().authority(name)
                _write(self._folder / KEY, made.key)
                _write(self.ca, made.cert)  # last: its being there says that all is

    def certificate(self, host: str, addresses: Collection[str] = ()) -> TLSPair:
        """Return what to serve the host with: the last one issued until 30 days before its end, then a new one.

        It is good for the IP addresses, too. Raises FileNotFoundError before `prepare`.
        """
        wanted = frozenset([*addresses, *([host] if _is_address(host) else [])])
        now = datetime.datetime.now(datetime.UTC)
        stamp, known = self._known.get(host, (None, None))
        if known is None or stamp != self._stamp(host):  # another process may have forgotten it, and issued another
            known = self._read(host)
        if known is None or not known.good(now, wanted):
            known = self._issue(host, now, wanted)
        self._known[host] = (self._stamp(host), known)
        return known.pair

    def forget(self, host: str) -> None:
        """Remove the host's certificate."""
        self._known.pop(host, None)
        self._path(host).unlink(missing_ok=True)

    def _issue(self, host: str, now: datetime.datetime, addresses: frozenset[str]) -> _Kept:
        with self._alone():
            other = self._read(host)  # by another process, just now
            if other and other.good(now, addresses):
                return other
            authority = Authority(self.ca.read_text(), (self._folder / KEY).read_text())
            names = [] if host in addresses else [host]
            pair = X509().server_of(authority, names, sorted(addresses), days=DAYS)
            _write(self._path(host), pair.pem)
            return _Kept(pair, now + datetime.timedelta(days=DAYS) - RENEW, addresses)

    def _read(self, host: str) -> _Kept | None:
        """Return what is kept, unless another CA issued it."""
        try:
            text, ca = self._path(host).read_text(), self.ca.read_text()
            found = x509.load_pem_x509_certificate(text.encode())
            found.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.encode()))
        except (FileNotFoundError, ValueError, InvalidSignature):
            return None
        cert, marker, key = text.partition("-----BEGIN PRIVATE KEY-----")
        return _Kept(TLSPair(ca, cert, marker + key), found.not_valid_after_utc - RENEW, _addresses(found))

    def _stamp(self, host: str) -> _Stamp:
        """Return what tells one file of the host from another."""
        try:
            found = self._path(host).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _path(self, host: str) -> pathlib.Path:
        return self._folder / f"{host}.pem"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with open(os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_address(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _addresses(found: x509.Certificate) -> frozenset[str]:
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return frozenset(map(str, names.get_values_for_type(x509.IPAddress)))


def _write(path: pathlib.Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
