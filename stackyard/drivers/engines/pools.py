# SPDX-License-Identifier: Apache-2.0
"""Chooses the addresses of a swarm's overlay networks so that they hide nothing the nodes must reach.

Used by the swarm engine; pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network

from stackyard.model import errors

CANDIDATES = ("10.200.0.0/14", "10.216.0.0/14", "10.232.0.0/14", "10.96.0.0/14", "172.20.0.0/14", "10.32.0.0/14")
SUBNET_SIZE = 24
PRIVATE = tuple(ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def overlay_pool(address: str, routes: Iterable[IPv4Network]) -> str:
    """Return the first candidate that overlaps neither the node's surroundings nor a route."""
    busy = [IPv4Network(f"{address}/16", strict=False), *(route for route in routes if route.prefixlen > 0)]
    for candidate in CANDIDATES:
        if not any(IPv4Network(candidate).overlaps(network) for network in busy):
            return candidate
    raise errors.GiveUp("this host has routes to all ranges that overlay networks could use")
