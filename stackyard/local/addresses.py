# SPDX-License-Identifier: Apache-2.0
"""Ports of this machine: which are free, who holds the others, and whether somebody answers there.

Called by `up` before it starts anything, so that nothing is left half-started.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import itertools
import socket
import time
from collections.abc import Callable, Sequence

import psutil
import requests

from stackyard.model import errors


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a part of the platform is to serve; `option` is how to move it."""

    part: str
    host: str
    port: int
    option: str


def reached(host: str) -> list[str]:
    """Return the IP addresses by which somebody reaches what serves at `host`: for a wildcard, all of this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return []
    if not address.is_unspecified:
        return [host]
    own = [each.address for each in itertools.chain(*psutil.net_if_addrs().values()) if each.family == socket.AF_INET]
    return sorted(set(own))


def check(addresses: Sequence[Address]) -> None:
    """Raise Conflict for every port that is taken, or that two parts are to share."""
    taken = [_words(each) for each in addresses if not _free(each)]
    ports = [each.port for each in addresses]
    taken += [f"port {port} was given to more than one part" for port in {p for p in ports if ports.count(p) > 1}]
    if taken:
        raise errors.Conflict("; ".join(taken))


def _free(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            if isinstance(error, PermissionError):
                raise errors.Conflict(
                    f"port {address.port} ({address.part}) needs more rights than you have: choose one above 1023"
                    f" with {address.option} PORT"
                ) from None
            return False
    return True


def _words(address: Address) -> str:
    holder = _holder(address.port)
    by = f"by {holder}" if holder else "by a process that you may not see"
    return (
        f"port {address.port} ({address.part}) is taken {by}: stop it, or choose another port with"
        f" {address.option} PORT"
    )


def _holder(port: int) -> str | None:
    """Return the name and id of the process that listens on a port, if that is visible."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and connection.pid and local and local.port == port:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return None


def answers(url: str, verify: bool | str = True) -> bool:
    """Tell whether anything answers with HTTP, whatever it says short of a failure of its own."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5, verify=verify, allow_redirects=False).status_code < 500
        except requests.RequestException:
            return False


def wait(condition: Callable[[], object], seconds: float, failed: Callable[[], str | None]) -> bool:
    """Wait for a condition; return False when time is over or `failed` names a reason to stop waiting."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline or failed():
            return False
        time.sleep(0.05)
    return True
