# SPDX-License-Identifier: Apache-2.0
"""Removes from an Engine all that one platform made there: containers, then networks, then volumes.

Called by `stackyard down --purge`; goes by the instance label alone, so that it needs no database.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time

import docker
import docker.errors

from stackyard.drivers.engines.failures import plainly, status
from stackyard.drivers.machines.container import INSTANCE

SECONDS = 60


def purge(client: docker.DockerClient, instance: str) -> None:
    """Remove what bears the instance's label; raises Unavailable when something is still there after a minute."""
    api = client.api
    chosen = {"label": f"{INSTANCE}={instance}"}
    deadline = time.monotonic() + SECONDS
    with plainly("removing what the platform made"):
        while ids := [found["Id"] for found in api.containers(all=True, filters=chosen)]:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda one: _remove_container(api, one, deadline), ids))
        for network in api.networks(filters=chosen):
            for endpoint in api.inspect_network(network["Id"]).get("Containers") or {}:
                api.disconnect_container_from_network(endpoint, network["Id"], force=True)
            api.remove_network(network["Id"])
        for volume in api.volumes(filters=chosen)["Volumes"] or []:
            with contextlib.suppress(docker.errors.NotFound):
                api.remove_volume(volume["Name"])


def _remove_container(api: docker.APIClient, id: str, deadline: float) -> None:
    try:
        api.remove_container(id, v=True, force=True)
    except docker.errors.APIError as error:
        # 409: its removal is already under way; the next look tells whether it is gone.
        if status(error) not in (404, 409) or time.monotonic() > deadline:
            raise
        time.sleep(0.05)
