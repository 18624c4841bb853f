# SPDX-License-Identifier: Apache-2.0
"""Certificates and secrets: who may talk to whom, and what nobody may read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class TLSPair:
    """A CA certificate with a certificate and key signed by it, all PEM text."""

    ca: str
    cert: str
    key: str = dataclasses.field(repr=False)

    @property
    def pem(self) -> str:
        """Return certificate (with its chain) and key as one file, as servers read it."""
        return "".join(f"{line}\n" for line in f"{self.cert}\n{self.key}".splitlines() if line.strip())


@dataclasses.dataclass(frozen=True)
class Authority:
    """A certificate authority: its own certificate and private key, PEM text."""

    cert: str
    key: str = dataclasses.field(repr=False)


class Certificates(Protocol):
    """Makes certificate authorities and signs with them (X.509, RFC 5280)."""

    def authority(self, name: str) -> Authority:
        """Make a CA."""

    def server(self, authority: Authority, name: str, address: str) -> TLSPair:
        """Issue a certificate for a node's engine: `name` and `address` as subject alternative names."""

    def client(self, authority: Authority, name: str, days: int) -> TLSPair:
        """Issue a certificate that a client may authenticate with."""

    def sign(self, authority: Authority, csr: str, hours: float, subject: Mapping[str, str] | None = None) -> str:
        """Sign a request (PEM) for client authentication; raises BadInput when it is none.

        `subject` (CN, O, OU) replaces the request's own.
        """

    def cross(self, authority: Authority, successor: Authority) -> str:
        """Return the successor's certificate as signed by the authority, for who trusts only that."""


class Secrets(Protocol):
    """Keeps secrets unreadable at rest."""

    def seal(self, clear: str) -> str:
        """Return the sealed form, safe to store."""

    def open(self, sealed: str) -> str:
        """Return the clear text; raises GiveUp when the key is not the one it was sealed with."""
