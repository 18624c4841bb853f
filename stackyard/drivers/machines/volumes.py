# SPDX-License-Identifier: Apache-2.0
"""The data volumes of nodes on one Docker Engine: named as the node, and holding its address for when it comes back.

Used by the docker machines only. A volume is made before its node and goes after it, so that whatever is left by a
kill in between is found by its labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import docker
import docker.errors

from stackyard.drivers.engines.failures import status, words
from stackyard.drivers.machines import container
from stackyard.model import errors
from stackyard.model.ports import MachineSpec


@dataclasses.dataclass(frozen=True)
class Data:
    """A node's data volume: the address that goes with it, whether its size is enforced, whether it is new."""

    address: str
    limited: bool
    new: bool = False


class DataVolumes:
    """Finds, makes and removes them."""

    def __init__(self, api: docker.APIClient, instance: str) -> None:
        """`instance` is the platform's name, a label of every volume."""
        self._api = api
        self._instance = instance

    def list(self, cluster_id: str) -> Sequence[dict[str, Any]]:
        """Return the cluster's volumes as the Engine describes them."""
        marks = [f"{container.INSTANCE}={self._instance}", f"{container.CLUSTER}={cluster_id}"]
        return self._api.volumes(filters={"label": marks})["Volumes"] or []

    def ensure(self, spec: MachineSpec, address: Callable[[], str]) -> Data:
        """Return the node's volume, made when it is not there; `address` chooses one that is free."""
        found = next((one for one in self.list(spec.cluster_id) if one["Name"] == spec.name), None)
        made = found or self._make(spec, address())
        marks = made["Labels"] or {}
        if marks.get(container.CLUSTER) != spec.cluster_id:
            raise errors.Unavailable(f"making node {spec.name}: a volume that is not ours has its name; remove that")
        return Data(marks.get(container.ADDRESS, ""), container.limited(marks), found is None)

    def remove(self, cluster_id: str, name: str) -> None:
        """Remove one volume of the cluster if it is there."""
        if any(one["Name"] == name for one in self.list(cluster_id)):
            self._remove(name)

    def clear(self, cluster_id: str) -> None:
        """Remove all volumes of a cluster that has no node any more."""
        for one in self.list(cluster_id):
            self._remove(one["Name"])

    def _make(self, spec: MachineSpec, address: str) -> Mapping[str, Any]:
        """Make the volume with the asked size, or without where the host's file system knows no quotas."""
        marks = container.labels(self._instance, spec, address)
        if spec.volume_gb > 0:
            try:
                return self._create(spec.name, {"size": f"{spec.volume_gb}G"}, marks)
            except docker.errors.APIError as error:
                if "quota" not in words(error) and "size" not in words(error):
                    raise
                marks[container.LIMITED] = "false"
        return self._create(spec.name, {}, marks)

    def _create(self, name: str, options: dict[str, str], marks: dict[str, str]) -> Mapping[str, Any]:
        made: Mapping[str, Any] = self._api.create_volume(name, driver="local", driver_opts=options, labels=marks)
        return made

    def _remove(self, name: str) -> None:
        try:
            self._api.remove_volume(name)
        except docker.errors.APIError as error:
            if status(error) != 404:
                raise
