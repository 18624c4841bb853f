# SPDX-License-Identifier: Apache-2.0
"""The platform's own containers (registry, router): made as described, found again, repaired, stopped.

Called by `up`, `down` and `status`. All carry the label `stackyard.instance`, as the nodes of clusters do.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import docker.errors
import docker.models.containers
import docker.types

from stackyard.drivers.registries import distribution
from stackyard.drivers.routers import haproxy
from stackyard.local import registry
from stackyard.local.state import State
from stackyard.model import errors

INSTANCE, PART, SPEC = "stackyard.instance", "stackyard.part", "stackyard.spec"
STOP_SECONDS = 15

Container = docker.models.containers.Container


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A container as it shall be; `options` are the Engine SDK's words, `inputs` what it reads as it starts."""

    part: str
    image: str
    command: tuple[str, ...]
    options: dict[str, Any]
    inputs: str = dataclasses.field(default="", repr=False)

    @property
    def digest(self) -> str:
        """Return what differs as soon as anything of this does."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def registry_container(state: State, image: str, port: int) -> Wanted:
    """Describe the registry: first it gives back the space of deleted images, then it serves."""
    config = f"{registry.INSIDE}/config.yml"
    script = f"docker-registry garbage-collect {config} >/dev/null 2>&1; exec docker-registry serve {config}"
    options: dict[str, Any] = {
        "entrypoint": ["sh", "-c"],
        "ports": {f"{distribution.PORT}/tcp": ["127.0.0.1", port]},
        "volumes": {str(state / "registry"): {"bind": registry.INSIDE, "mode": "rw"}},
        # It is on the networks of all clusters, and must not carry packets from one to another.
        "sysctls": {"net.ipv4.ip_forward": "0"},
    }
    inputs = "".join((state / "registry" / name).read_text() for name in ("config.yml", "tls.crt", "tokens.crt"))
    return Wanted("registry", image, (script,), options, inputs)


def router_container(state: State, image: str) -> Wanted:
    """Describe the router, on the host's own network so that it reaches every cluster's."""
    options: dict[str, Any] = {
        "entrypoint": ["haproxy"],
        "network_mode": "host",
        "working_dir": "/router",
        "volumes": {str(state / "router"): {"bind": "/router", "mode": "rw"}},
    }
    return Wanted("router", image, haproxy.COMMAND, options, (state / "router/haproxy.cfg").read_text())


def find(client: docker.DockerClient, instance: str, part: str) -> Container | None:
    """Return the container of this part, or None."""
    try:
        return client.containers.get(f"{instance}-{part}")
    except docker.errors.NotFound:
        return None


def ensure(client: docker.DockerClient, instance: str, wanted: Wanted) -> bool:
    """Have the container as wanted, and running; return whether anything had to be done."""
    found = find(client, instance, wanted.part)
    if found is not None and found.labels.get(SPEC) != wanted.digest:
        found.remove(force=True)
        found = None
    if found is not None and found.status == "running":
        return False
    try:
        container = found or _create(client, instance, wanted)
        if wanted.part == "registry":
            _attach(client, instance, container)
        container.start()
    except docker.errors.DockerException as error:
        raise errors.Unavailable(f"the {wanted.part}'s container does not start: {error}") from None
    return True


def _create(client: docker.DockerClient, instance: str, wanted: Wanted) -> Container:
    """Make it, running as ourselves so that we can remove its files later, and with a log of limited size."""
    options = {**wanted.options, "restart_policy": {"Name": "unless-stopped"}}
    if ports := options.pop("ports", None):
        options["ports"] = {inside: tuple(outside) for inside, outside in ports.items()}
    log = docker.types.LogConfig(type="json-file", config={"max-size": "5m", "max-file": "2"})
    return client.containers.create(
        wanted.image,
        list(wanted.command),
        name=f"{instance}-{wanted.part}",
        labels={INSTANCE: instance, PART: wanted.part, SPEC: wanted.digest},
        user=f"{os.getuid()}:{os.getgid()}",
        log_config=log,
        **options,
    )


def _attach(client: docker.DockerClient, instance: str, container: Container) -> None:
    """Put a new registry on the networks of all clusters that the last one was on."""
    container.reload()
    there = set(container.attrs["NetworkSettings"]["Networks"])
    for network in client.networks.list(filters={"label": f"{INSTANCE}={instance}"}):
        if network.name not in there:
            network.connect(container, aliases=[distribution.NAME])


def labelled(client: docker.DockerClient, instance: str, **filters: Any) -> list[Container]:
    """Return all containers of the instance, nodes included."""
    return client.containers.list(all=True, filters={"label": f"{INSTANCE}={instance}", **filters}, ignore_removed=True)


def start_nodes(client: docker.DockerClient, instance: str) -> list[str]:
    """Start the nodes that `down` stopped; return the names of those that will not, which the worker replaces."""
    stopped = [each for each in labelled(client, instance, status="exited") if PART not in each.labels]
    with ThreadPoolExecutor(8, "start") as pool:
        started = list(pool.map(_started, stopped))
    return [str(each.name) for each, well in zip(stopped, started, strict=True) if not well]


def _started(container: Container) -> bool:
    try:
        container.start()
    except docker.errors.DockerException:
        return False
    return True


def stop_all(client: docker.DockerClient, instance: str) -> int:
    """Stop everything of the instance that runs, the nodes first; return how many there were."""
    running = labelled(client, instance, status="running")
    for batch in (
        [each for each in running if PART not in each.labels],
        [each for each in running if PART in each.labels],
    ):
        with ThreadPoolExecutor(8, "stop") as pool:
            list(pool.map(_stop, batch))
    return len(running)


def _stop(container: Container) -> None:
    try:
        container.stop(timeout=STOP_SECONDS)
    except docker.errors.NotFound:
        return
