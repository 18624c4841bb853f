# SPDX-License-Identifier: Apache-2.0
"""Machines that are containers on one Docker Engine: the `Machines` port of the one-machine platform.

Used by the worker. Each cluster has a bridge network of its own; each node has a fixed address on it, a
certificate that is put into it before it starts, and a volume for its Engine's data that goes when it goes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

import docker
import docker.errors

from stackyard.drivers.engines.failures import plainly, status, words
from stackyard.drivers.machines import container, privileges
from stackyard.drivers.machines.networks import ClusterNetworks
from stackyard.drivers.machines.subnets import NODES, free_address
from stackyard.model import errors
from stackyard.model.ports import Machine, MachineSpec, TLSPair

Issue = Callable[[str], TLSPair]
Image = Callable[[str], str] | Mapping[str, str]

CREATE_SECONDS = 10
GONE_SECONDS = 30
CAPS_REFUSED = "unable to apply caps"
ADDRESS_TAKEN = "Address already in use"


class DockerMachines:
    """Nodes on the Engine of `client`, told apart from others' by the label of `instance`."""

    def __init__(
        self,
        client: docker.DockerClient,
        instance: str,
        image: Image | None = None,
        subnets: str = "10.181.0.0/16",
        files: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`image` leads from image ids to references; `files` are further files of each node (path: text)."""
        self._api = client.api
        self._instance = instance
        self._image = image.__getitem__ if isinstance(image, Mapping) else image or self._own_image
        self._networks = ClusterNetworks(client.api, instance, subnets)
        self._files = files
        self._privileged, self._capabilities = _privileges(str(client.api.base_url))
        self._choosing = threading.Lock()

    def list(self, cluster_id: str) -> list[Machine]:
        """Return all machines of the cluster, by name."""
        with plainly("listing nodes"):
            network = self._networks.name(cluster_id)
            machines = [container.machine(summary, network) for summary in self._containers(cluster_id)]
        return sorted(machines, key=lambda machine: machine.name)

    def has_network(self, cluster_id: str) -> bool:
        """Tell whether the cluster's network is there."""
        return self._networks.find(cluster_id) is not None

    def ensure_network(self, cluster_id: str) -> None:
        """Make the cluster's bridge with a free /24; raises GiveUp when none is left."""
        self._networks.ensure(cluster_id)

    def create(self, spec: MachineSpec, issue: Issue) -> Machine:
        """Make and start the node, or finish what an earlier attempt began; keeps a node that once ran."""
        with plainly(f"making node {spec.name}"):
            deadline = time.monotonic() + CREATE_SECONDS
            while time.monotonic() < deadline:
                found = self._find(spec) or self._new(spec)
                if found and (found["State"] == "running" or self._started(found, spec, issue)):
                    return container.machine(found | {"State": "running"}, self._networks.name(spec.cluster_id))
                time.sleep(0.05)
        raise errors.Unavailable(f"making node {spec.name}: another container has its name, or others took its address")

    def delete(self, cluster_id: str, name: str, *, keep_data: bool = False) -> None:
        """Remove the node and its volume; returns when both are gone."""
        with plainly(f"removing node {name}"):
            deadline = time.monotonic() + GONE_SECONDS
            while self._summary(cluster_id, name):
                try:
                    self._api.remove_container(name, v=not keep_data, force=True)
                except docker.errors.APIError as error:
                    if status(error) not in (404, 409) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def delete_network(self, cluster_id: str) -> None:
        """Remove the cluster's network; raises Unavailable while something is still on it."""
        with plainly("removing the cluster's network"):
            if self._containers(cluster_id):
                raise errors.Unavailable("removing the cluster's network: nodes are still on it")
        self._networks.delete(cluster_id)

    def watch(self) -> Iterator[str]:
        """Yield the cluster of each node that starts, ends or goes, as the Engine tells it."""
        marks: dict[str, Any] = {"type": "container", "event": ["start", "die", "destroy"]}
        marks["label"] = f"{container.INSTANCE}={self._instance}"
        with plainly("watching the nodes"):
            for event in self._api.events(decode=True, filters=marks):
                cluster_id = event["Actor"]["Attributes"].get(container.CLUSTER)
                if cluster_id:
                    yield cluster_id

    def _containers(self, cluster_id: str) -> Sequence[dict[str, Any]]:
        marks = [f"{container.INSTANCE}={self._instance}", f"{container.CLUSTER}={cluster_id}"]
        found: Sequence[dict[str, Any]] = self._api.containers(all=True, filters={"label": marks})
        return found

    def _summary(self, cluster_id: str, name: str) -> dict[str, Any] | None:
        found = self._containers(cluster_id)
        return next((summary for summary in found if f"/{name}" in summary["Names"]), None)

    def _find(self, spec: MachineSpec) -> dict[str, Any] | None:
        """Return the node if it is there and of use; raises Unavailable while its Engine keeps ending."""
        found = self._summary(spec.cluster_id, spec.name)
        # The Engine lists a container that it is still making without its address, and does not let it be used.
        if found is None or not container.address(found, self._networks.name(spec.cluster_id)):
            return None
        if found["State"] == "paused":
            self._api.unpause(found["Id"])
            return found | {"State": "running"}
        if found["State"] in ("dead", "removing"):
            self.delete(spec.cluster_id, spec.name)
            return None
        if found["State"] == "restarting":
            end = self._api.logs(found["Id"], tail=5).decode(errors="replace")
            raise errors.Unavailable(f"node {spec.name} keeps ending; its log ends: {end}")
        return found

    def _new(self, spec: MachineSpec) -> dict[str, Any] | None:
        """Make the node's container; None when another attempt was quicker and is not yet done."""
        subnet = self._networks.find(spec.cluster_id)
        if subnet is None:
            raise errors.Unavailable(f"making node {spec.name}: the cluster's network is not there yet")
        # Nodes of one cluster are made at the same time: an address counts as taken once its container is listed.
        with self._choosing:
            self._create(spec, self._free_address(spec, subnet))
        return self._find(spec)

    def _free_address(self, spec: MachineSpec, subnet: IPv4Network) -> str:
        network = self._networks.name(spec.cluster_id)
        taken = [container.address(summary, network) for summary in self._containers(spec.cluster_id)]
        free = free_address(subnet, taken)
        if free is None:
            raise errors.GiveUp(f"all addresses of {subnet} are taken: a cluster holds {len(NODES)} nodes here")
        return free

    def _create(self, spec: MachineSpec, address: str) -> None:
        marks = container.labels(self._instance, spec)
        endpoint: Any = {self._networks.name(spec.cluster_id): self._api.create_endpoint_config(ipv4_address=address)}
        capabilities = None if self._privileged else self._capabilities
        try:
            self._api.create_container(
                self._image(spec.image),
                name=spec.name,
                hostname=spec.name,
                labels=marks,
                host_config=container.host_config(self._api, spec, marks, capabilities),
                networking_config=self._api.create_networking_config(endpoint),
            )
        except docker.errors.APIError as error:
            if status(error) != 409:
                raise

    def _started(self, found: Mapping[str, Any], spec: MachineSpec, issue: Issue) -> bool:
        """Give the node its certificate and start it; False when it is gone and has to be made again."""
        address = container.address(found, self._networks.name(spec.cluster_id))
        packed = container.archive(issue(address), self._files())
        try:
            self._api.put_archive(found["Id"], "/", packed)
            self._api.start(found["Id"])
        except docker.errors.NotFound:
            # Another attempt at the same node, or the cluster's removal, was quicker.
            return False
        except docker.errors.APIError as error:
            self._clear(found, error)
            return False
        return True

    def _clear(self, found: Mapping[str, Any], error: docker.errors.APIError) -> None:
        """Remove a node that never ran and can't as it was made; raises the error where that is no cure."""
        if CAPS_REFUSED in words(error) and self._privileged:
            self._privileged = False
        elif ADDRESS_TAKEN not in words(error):
            raise error
        if found["State"] != "created":
            raise error
        try:
            self._api.remove_container(found["Id"], v=True, force=True)
        except docker.errors.APIError as refusal:
            if status(refusal) not in (404, 409):
                raise

    def _own_image(self, image_id: str) -> str:
        """Return the id of our own image of this name: nodes have rights that no other image may get."""
        name = image_id.removeprefix("stackyard-") or "node"
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise errors.GiveUp(f"{name!r} is no image for nodes: name one of images/, such as 'node'")
        try:
            found: Any = self._api.inspect_image(f"stackyard/{name}:latest")  # type: ignore[no-untyped-call]
            return str(found["Id"])
        except docker.errors.NotFound:
            raise errors.GiveUp(
                f"there is no image 'stackyard/{name}' here: make it with: stackyard images build {name}"
            ) from None


def _privileges(url: str) -> tuple[bool, tuple[str, ...]]:
    """Return what nodes may be given; of an Engine elsewhere the best is assumed until it refuses."""
    local = "unix" in url or "localhost" in url or "docker" in url
    return privileges.detect() if local else (True, privileges.NODE_CAPABILITIES)
