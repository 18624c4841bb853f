# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of cluster networks: which /24 a cluster gets, which address a node gets.

Used by the docker machines; pure but for `host_routes`, which reads /proc.
"""

from __future__ import annotations

import hashlib
import ipaddress
import pathlib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

PREFIX = 24
NODES = range(2, 240)
"""Last parts of node addresses; the Engine itself hands out what lies above (see `dynamic_range`)."""


def candidates(pool: str, cluster_id: str, taken: Iterable[IPv4Network]) -> Iterator[IPv4Network]:
    """Yield the free /24s of the pool; the same cluster begins at the same place, so that two attempts meet."""
    subnets = list(ipaddress.ip_network(pool).subnets(new_prefix=PREFIX))
    start = int.from_bytes(hashlib.sha256(cluster_id.encode()).digest()[:4]) % len(subnets)
    taken = list(taken)
    for subnet in subnets[start:] + subnets[:start]:
        if isinstance(subnet, IPv4Network) and not any(subnet.overlaps(other) for other in taken):
            yield subnet


def gateway(subnet: IPv4Network) -> IPv4Address:
    """Return the host's address on the network."""
    return subnet[1]


def dynamic_range(subnet: IPv4Network) -> IPv4Network:
    """Return the part of the subnet for containers that have no address of their own (the registry)."""
    return list(subnet.subnets(new_prefix=28))[-1]


def free_address(subnet: IPv4Network, taken: Iterable[str]) -> str | None:
    """Return the lowest node address not taken, None when the subnet is full."""
    used = set(taken)
    addresses = (str(subnet[number]) for number in NODES)
    return next((address for address in addresses if address not in used), None)


def parse_routes(table: str) -> list[IPv4Network]:
    """Return the networks of the text of /proc/net/route, without the default route."""
    routes = []
    for line in table.splitlines()[1:]:
        _, destination, _, _, _, _, _, mask, *_ = line.split()
        if int(mask, 16):
            pair = [IPv4Address(bytes.fromhex(word)[::-1]) for word in (destination, mask)]
            routes.append(IPv4Network(f"{pair[0]}/{pair[1]}", strict=False))
    return routes


def host_routes() -> list[IPv4Network]:
    """Return the networks that this host has routes to."""
    path = pathlib.Path("/proc/net/route")
    return parse_routes(path.read_text()) if path.exists() else []
