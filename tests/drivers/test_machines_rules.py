# SPDX-License-Identifier: Apache-2.0
"""The pure parts of machines and engines: subnets, addresses, capabilities, overlay ranges."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.engines.pools import CANDIDATES, overlay_pool
from stackyard.drivers.machines import privileges, subnets
from stackyard.model import errors

FULL = (1 << 41) - 1
WITHOUT_RESOURCE = FULL & ~(1 << 24)
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
vpn0\t0000C80A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@given(st.uuids())
def test_candidates_are_free_and_the_same_for_the_same_cluster(cluster: object) -> None:
    taken = [ip_network("10.181.0.0/17"), ip_network("10.181.200.0/22")]
    found = list(subnets.candidates("10.181.0.0/16", str(cluster), taken))
    assert found == list(subnets.candidates("10.181.0.0/16", str(cluster), taken))
    assert len(set(found)) == 256 - 128 - 4
    assert not any(subnet.overlaps(other) for subnet in found for other in taken)


def test_clusters_begin_at_different_places() -> None:
    first = {str(next(subnets.candidates("10.181.0.0/16", f"cluster-{n}", []))) for n in range(20)}
    assert len(first) > 15


def test_addresses_do_not_meet_the_gateway_or_the_engines_own_range() -> None:
    subnet = ip_network("10.181.7.0/24")
    taken: list[str] = []
    while address := subnets.free_address(subnet, taken):
        taken.append(address)
    assert len(taken) == len(subnets.NODES)
    assert str(subnets.gateway(subnet)) not in taken
    assert not any(ip_network(address).overlaps(subnets.dynamic_range(subnet)) for address in taken)


def test_routes_without_the_default() -> None:
    assert subnets.parse_routes(ROUTES) == [ip_network("192.0.2.0/24"), ip_network("10.200.0.0/16")]


def test_overlay_passes_over_routes_and_the_nodes_own_network() -> None:
    assert overlay_pool("10.181.3.2", []) == CANDIDATES[0]
    assert overlay_pool("10.181.3.2", subnets.parse_routes(ROUTES)) == CANDIDATES[1]
    assert overlay_pool("10.201.3.2", []) == CANDIDATES[1]
    with pytest.raises(errors.GiveUp):
        overlay_pool("10.1.1.1", [ip_network("10.0.0.0/8"), ip_network("172.16.0.0/12")])


def test_privileges_follow_the_bounding_set() -> None:
    assert privileges.may_everything(FULL, 40)
    assert not privileges.may_everything(WITHOUT_RESOURCE, 40)
    assert privileges.node_capabilities(FULL) == privileges.NODE_CAPABILITIES
    assert set(privileges.NODE_CAPABILITIES) - set(privileges.node_capabilities(WITHOUT_RESOURCE)) == {"SYS_RESOURCE"}
    assert privileges.CAPABILITIES.index("SYS_ADMIN") == 21
    assert privileges.CAPABILITIES.index("CHECKPOINT_RESTORE") == 40


def test_bounding_set_is_read_from_status() -> None:
    assert privileges.bounding_set("Name:\tx\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n") == 0x1FFFEFFFFFF
    assert privileges.bounding_set("Name:\tx\n") == 0
