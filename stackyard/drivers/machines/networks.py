# SPDX-License-Identifier: Apache-2.0
"""The networks of clusters on one Docker Engine: a bridge and a /24 for each.

Used by the docker machines only; knows nothing of nodes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from typing import Any

import docker
import docker.errors
from docker.types import IPAMConfig, IPAMPool

from stackyard.drivers.engines.failures import plainly, status, words
from stackyard.drivers.machines import container, subnets
from stackyard.model import errors

ATTEMPTS = 24
PAUSE_SECONDS = 0.05  # until a network that another is making is listed


class ClusterNetworks:
    """Finds, makes and removes them; `pool` is the range that their subnets come from."""

    def __init__(self, api: docker.APIClient, instance: str, pool: str) -> None:
        """`instance` is the platform's name, the first part of every network's."""
        self._api = api
        self._instance = instance
        self._pool = pool

    def name(self, cluster_id: str) -> str:
        """Return the network's name."""
        return f"{self._instance}-{cluster_id[:8]}"

    def find(self, cluster_id: str) -> IPv4Network | None:
        """Return the subnet of the cluster's network, None while there is no network."""
        with plainly("looking for the cluster's network"):
            found = self._found(cluster_id)
        return _subnet(found[0]) if found else None

    def ensure(self, cluster_id: str) -> None:
        """Make the network unless it is there; where two attempts made one each, the older stays."""
        with plainly("making the cluster's network"):
            refused: list[IPv4Network] = []
            for _ in range(ATTEMPTS):
                found = self._found(cluster_id)
                for surplus in found[1:]:
                    self._remove(surplus["Id"])
                if found:
                    return
                refused += self._make(cluster_id, refused)
        raise errors.Unavailable("making the cluster's network: others keep taking the subnets that were free")

    def delete(self, cluster_id: str) -> None:
        """Remove the network, taking off what is still on it; raises Unavailable when something holds on."""
        with plainly("removing the cluster's network"):
            for network in self._found(cluster_id):
                self._take_off(network["Id"])
                self._remove(network["Id"])

    def _found(self, cluster_id: str) -> Sequence[dict[str, Any]]:
        """Return the cluster's networks, oldest first; more than one only after a race."""
        marks = [f"{container.INSTANCE}={self._instance}", f"{container.CLUSTER}={cluster_id}"]
        found: Sequence[dict[str, Any]] = self._api.networks(filters={"label": marks})
        return sorted(found, key=lambda network: (network["Created"], network["Id"]))

    def _make(self, cluster_id: str, refused: Sequence[IPv4Network]) -> Sequence[IPv4Network]:
        """Try the first free subnet; return it when another was quicker, maybe for the same cluster."""
        taken = [_subnet(network) for network in self._api.networks()]
        known = [*(subnet for subnet in taken if subnet), *subnets.host_routes(), *refused]
        subnet = next(subnets.candidates(self._pool, cluster_id, known), None)
        if subnet is None and refused:
            time.sleep(PAUSE_SECONDS)
            return []
        if subnet is None:
            raise errors.GiveUp(f"no /24 of {self._pool} is free: give [machines] subnets a larger range")
        pool = IPAMPool(
            subnet=str(subnet), gateway=str(subnets.gateway(subnet)), iprange=str(subnets.dynamic_range(subnet))
        )
        try:
            self._api.create_network(
                self.name(cluster_id),
                driver="bridge",
                ipam=IPAMConfig(pool_configs=[pool]),
                check_duplicate=True,
                labels={container.INSTANCE: self._instance, container.CLUSTER: cluster_id},
            )
        except docker.errors.APIError as error:
            if status(error) != 409 and "overlaps" not in words(error):
                raise
            time.sleep(PAUSE_SECONDS)
            return [subnet]
        return []

    def _take_off(self, network_id: str) -> None:
        """Disconnect whatever somebody connected to the network, or a dead Engine left on it."""
        try:
            for endpoint in self._api.inspect_network(network_id).get("Containers") or {}:
                self._api.disconnect_container_from_network(endpoint, network_id, force=True)
        except docker.errors.NotFound:
            return

    def _remove(self, network_id: str) -> None:
        try:
            self._api.remove_network(network_id)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if "active endpoints" in words(error):
                raise errors.Unavailable(f"removing the cluster's network: {words(error)}") from error
            raise


def _subnet(network: Mapping[str, Any]) -> IPv4Network | None:
    configs = network["IPAM"].get("Config") or []
    found = [ip_network(config["Subnet"]) for config in configs if config.get("Subnet")]
    return next((subnet for subnet in found if isinstance(subnet, IPv4Network)), None)
