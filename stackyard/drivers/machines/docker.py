# SPDX-License-Identifier: Apache-2.0
"""Machines that are containers on one Docker Engine: the `Machines` port of the one-machine platform.

Used by the worker. Each cluster has a bridge network of its own; each node has a fixed address on it, a
certificate that is put into it before it starts, and a volume for its Engine's data that may outlive it.
"""

from __future__ import annotations

import builtins
import dataclasses
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
from stackyard.drivers.machines.volumes import Data, DataVolumes
from stackyard.drivers.machines.watching import watch
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
        self._volumes = DataVolumes(client.api, instance)
        self._files = files
        self._privileged, self._capabilities = _privileges(str(client.api.base_url))
        self._choosing = threading.Lock()
        self._host: Mapping[str, Any] | None = None

    def list(self, cluster_id: str) -> list[Machine]:
        """Return all machines of the cluster, by name; those of which only the data is left are absent."""
        with plainly("listing nodes"):
            volumes = self._volumes.list(cluster_id)  # first: a node being made has its volume before its container
            machines = self._machines(cluster_id)
        there = {machine.name for machine in machines}
        absent = [container.absent(one) for one in volumes if container.IMAGE in one["Labels"]]
        machines += [machine for machine in absent if machine.name not in there]
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
        """Remove the node, then its volume unless that is kept; returns when both are gone."""
        with plainly(f"removing node {name}"):
            deadline = time.monotonic() + GONE_SECONDS
            while True:
                try:
                    if self._gone(cluster_id, name, keep_data):
                        return
                except docker.errors.APIError as error:
                    # 409: its removal is already under way.
                    if status(error) not in (404, 409) or time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)

    def delete_network(self, cluster_id: str) -> None:
        """Remove the cluster's network and all that is left of its nodes; raises Unavailable while there are any."""
        with plainly("removing the cluster's network"):
            if self._containers(cluster_id):
                raise errors.Unavailable("removing the cluster's network: nodes are still on it")
            self._volumes.clear(cluster_id)
        self._networks.delete(cluster_id)

    def watch(self) -> Iterator[str]:
        """Yield the cluster of each node that starts, ends or goes; raises Unavailable when the Engine goes."""
        return watch(self._api, self._instance)

    def _machines(self, cluster_id: str) -> builtins.list[Machine]:
        network = self._networks.name(cluster_id)
        return [container.machine(summary, network) for summary in self._containers(cluster_id)]

    def _gone(self, cluster_id: str, name: str, keep_data: bool) -> bool:
        """Remove the node's container, else its volume; tell whether nothing more is to be done."""
        if self._summary(cluster_id, name):
            self._api.remove_container(name, v=True, force=True)
            return False
        if not keep_data:
            self._volumes.remove(cluster_id, name)
        return True

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
        if found["State"] in ("dead", "removing") or _outdated(found, spec):
            self.delete(spec.cluster_id, spec.name, keep_data=True)
            return None
        if found["State"] == "restarting":
            end = self._api.logs(found["Id"], tail=5).decode(errors="replace")
            raise errors.Unavailable(f"node {spec.name} keeps ending; its log ends: {end}")
        return found

    def _new(self, spec: MachineSpec) -> dict[str, Any] | None:
        """Make the node's volume and container; None when another attempt was quicker and is not yet done."""
        subnet = self._networks.find(spec.cluster_id)
        if subnet is None:
            raise errors.Unavailable(f"making node {spec.name}: the cluster's network is not there yet")
        image = self._image(spec.image)
        # Nodes of one cluster are made at the same time: an address counts as taken once its volume is listed.
        with self._choosing:
            data = self._volumes.ensure(spec, lambda: self._free_address(spec, subnet))
            if data.address not in self._unused(spec, subnet):
                data = dataclasses.replace(data, address=self._free_address(spec, subnet))
        self._create(spec, image, data)
        return self._find(spec)

    def _unused(self, spec: MachineSpec, subnet: IPv4Network) -> set[str]:
        """Return the addresses of the subnet that no other node of the cluster has."""
        network = self._networks.name(spec.cluster_id)
        others = [one for one in self._containers(spec.cluster_id) if container.name(one) != spec.name]
        taken = {container.address(one, network) for one in others}
        return {str(subnet[number]) for number in NODES} - taken

    def _free_address(self, spec: MachineSpec, subnet: IPv4Network) -> str:
        kept = {one["Labels"].get(container.ADDRESS, "") for one in self._volumes.list(spec.cluster_id)}
        taken = {str(subnet[number]) for number in NODES} - self._unused(spec, subnet)
        free = free_address(subnet, kept | taken)
        if free is None:
            raise errors.GiveUp(f"all addresses of {subnet} are taken: a cluster holds {len(NODES)} nodes here")
        return free

    def _create(self, spec: MachineSpec, image: str, data: Data) -> None:
        network = self._networks.name(spec.cluster_id)
        endpoint: Any = {network: self._api.create_endpoint_config(ipv4_address=data.address)}
        capabilities = None if self._privileged else self._capabilities
        limits = container.limits(spec, self._facts())
        marks = container.labels(self._instance, spec, data.address)
        marks[container.LIMITED] = str(data.limited and limits.all).lower()
        marks[container.NEW] = str(data.new).lower()
        try:
            self._api.create_container(
                image,
                name=spec.name,
                hostname=spec.name,
                labels=marks,
                host_config=container.host_config(self._api, spec, limits, capabilities),
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
        except docker.errors.NotFound as error:
            if "network" in words(error):
                self._clear(found, spec)
                raise errors.Unavailable(f"making node {spec.name}: the cluster's network has gone") from error
            # Another attempt at the same node, or the cluster's removal, was quicker.
            return False
        except docker.errors.APIError as error:
            self._judge(found, error)
            self._clear(found, spec)
            return False
        return True

    def _judge(self, found: Mapping[str, Any], error: docker.errors.APIError) -> None:
        """Raise the error unless making the node again is a cure; a node that ever ran is not made again."""
        if CAPS_REFUSED in words(error) and self._privileged:
            self._privileged = False
        elif ADDRESS_TAKEN not in words(error):
            raise error
        if found["State"] != "created":
            raise error

    def _clear(self, found: Mapping[str, Any], spec: MachineSpec) -> None:
        """Remove a node that never ran, with its volume when that was made for it."""
        kept = found["State"] != "created" or found["Labels"].get(container.NEW) != "true"
        self.delete(spec.cluster_id, spec.name, keep_data=kept)

    def _facts(self) -> Mapping[str, Any]:
        """Return what the Engine says of its host; that does not change while we live."""
        if self._host is None:
            self._host = self._api.info()
        return self._host

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


def _outdated(found: Mapping[str, Any], spec: MachineSpec) -> bool:
    """Tell whether a node that does not run is to be made anew: its certificate would not fit its label."""
    return found["State"] in ("created", "exited") and not container.made_of(found, spec)


def _privileges(url: str) -> tuple[bool, tuple[str, ...]]:
    """Return what nodes may be given; of an Engine elsewhere the best is assumed until it refuses."""
    local = "unix" in url or "localhost" in url or "docker" in url
    return privileges.detect() if local else (True, privileges.NODE_CAPABILITIES)
