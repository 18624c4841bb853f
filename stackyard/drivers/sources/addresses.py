# SPDX-License-Identifier: Apache-2.0
"""Which addresses the platform may fetch from, and how git is held to the one that was judged.

A tenant names the repository, the platform fetches it: names that lead to the platform's own surroundings (a cloud's
metadata service above all) are refused. Called by `git`, before each connection.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import shlex
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence

from stackyard.drivers.sources.git_command import SSH
from stackyard.model import errors
from stackyard.model.sources import REFUSED_NETWORKS, without_password

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclasses.dataclass(frozen=True)
class Reach:
    """A repository as git is to be called for it: URL, settings and environment that keep it to one address."""

    url: str
    settings: tuple[str, ...] = ()
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Gate:
    """Lets through to all networks but these (CIDR notation)."""

    def __init__(self, refused: Sequence[str] = REFUSED_NETWORKS) -> None:
        self._refused: tuple[Network, ...] = tuple(ipaddress.ip_network(text.strip()) for text in refused)

    def reach(self, url: str) -> Reach:
        """Return how to reach a repository that `check_repository` accepts; raises GiveUp when it may not be."""
        transport, host, port = _parts(url)
        literal = _literal(host)
        if literal is not None:
            self._check(url, host, [literal])
            return Reach(url, _settings(transport))
        if transport in ("http", "https") and _proxied(transport, host):
            return Reach(url, _settings(transport))  # the proxy resolves the name, and decides
        address = self._resolved(url, host, port)
        return _pinned(url, transport, (host, port), address)

    def _resolved(self, url: str, host: str, port: int) -> Address:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            shown = without_password(url)
            raise errors.GiveUp(f"git can't fetch {shown}: there is no host {host!r}; check the address") from None
        addresses = [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
        self._check(url, host, addresses)
        return addresses[0]

    def _check(self, url: str, host: str, addresses: Sequence[Address]) -> None:
        for address in addresses:
            for meant in _meanings(address):
                if any(meant.version == network.version and meant in network for network in self._refused):
                    raise errors.GiveUp(
                        f"git can't fetch {without_password(url)}: {host} is at {address}, which the platform does not"
                        " fetch from; push the folder instead"
                    )


def _meanings(address: Address) -> list[Address]:
    """Return an address with the IPv4 address that it may stand for."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(each for each in inner if each is not None)]


def _parts(url: str) -> tuple[str, str, int]:
    if "://" not in url:
        return "ssh", re.sub(r"^[^@:/]*@", "", url).partition(":")[0], _PORTS["ssh"]
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def _literal(host: str) -> Address | None:
    """Return the address that a host name spells; what the C library takes for one too (127.1, 0x7f000001)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _proxied(transport: str, host: str) -> bool:
    proxies = urllib.request.getproxies_environment()
    return (transport in proxies or "all" in proxies) and not urllib.request.proxy_bypass(host)


def _settings(transport: str) -> tuple[str, ...]:
    # Redirects are followed by `git` itself, each judged like the first address
    return ("-c", "http.followRedirects=false") if transport in ("http", "https") else ()


def _pinned(url: str, transport: str, place: tuple[str, int], address: Address) -> Reach:
    """Return how to reach this very address: the name must not lead elsewhere when git looks it up again."""
    host, port = place
    if transport in ("http", "https"):
        resolve = f"http.curloptResolve={host}:{port}:{address}"
        return Reach(url, (*_settings(transport), "-c", resolve))
    if transport == "ssh":
        ssh = f"{SSH} -oHostName={address} -oHostKeyAlias={shlex.quote(host)}"
        return Reach(url, (), {"GIT_SSH_COMMAND": ssh})
    shown = f"[{address}]" if address.version == 6 else str(address)
    parts = urllib.parse.urlsplit(url)
    there = parts._replace(netloc=f"{shown}:{port}").geturl()
    return Reach(there, (), {"GIT_OVERRIDE_VIRTUAL_HOST": f"{host}:{port}" if parts.port else host})
