# SPDX-License-Identifier: Apache-2.0
"""What of the one-machine platform is up: a row for each part.

Called by `stackyard status`; it only looks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from importlib import metadata

import docker
import docker.errors
import psutil
import requests
from sqlalchemy.exc import SQLAlchemyError

from stackyard import conf
from stackyard.local import addresses, containers, settings
from stackyard.local.platform import Platform
from stackyard.local.supervisor import Process, Supervisor
from stackyard.model import errors
from stackyard.model.records import utcnow
from stackyard.model.services import Service
from stackyard.store import Store
from stackyard.worker import heartbeat

VERSIONS = {"registry": ["docker-registry", "--version"], "router": ["haproxy", "-v"]}


@dataclasses.dataclass(frozen=True)
class Part:
    """One part: `runs_as` is a process id or a container's name, `memory_mb` what it holds resident with children.

    `note` tells of workers when they last reported that they are at work.
    """

    part: str
    status: str
    runs_as: str = ""
    version: str = ""
    address: str = ""
    restarts: int = 0
    memory_mb: int | None = None
    note: str = ""


def parts(platform: Platform) -> list[Part]:
    """Return all parts of the platform."""
    processes = {each.name: each for each in Supervisor(platform.state).processes()}
    names = ["api", "worker"]
    if settings.own_identity(platform.options):
        names.insert(0, "keystone")
    return [*(_process(platform, name, processes.get(name)) for name in names), *_engine(platform)]


def _process(platform: Platform, name: str, process: Process | None) -> Part:
    url = _url(platform, name)
    version = metadata.version("keystone" if name == "keystone" else "stackyard")
    if process is None or process.state != "RUNNING":
        return Part(name, "down", version=version, address=url)
    up = not url or addresses.answers(url)
    memory = _memory(process.pid)
    part = Part(name, "up" if up else "down", str(process.pid), version, url, process.restarts, memory)
    return _heard(part, _service(platform)) if name == "worker" else part


def _heard(worker: Part, service: Service | None) -> Part:
    """Return the part with what its heartbeat tells: a process that runs may still be doing nothing."""
    now = utcnow()
    if service is None:
        return dataclasses.replace(worker, note="no heartbeat yet")
    note = f"last heartbeat {max(0, round(service.silent(now)))} s ago"
    return dataclasses.replace(worker, status="up" if service.up(now) else "down", note=note)


def _service(platform: Platform) -> Service | None:
    """Return this host's service, or None where none is known."""
    store, here = Store(platform.options.database.connection, 1), heartbeat.host_name()
    with contextlib.suppress(errors.StackyardError, SQLAlchemyError), store.reading() as tx:
        return next((service for service in tx.services.list() if service.host == here), None)
    return None


def _url(platform: Platform, name: str) -> str:
    options = platform.options
    urls = {"keystone": settings.identity_url(options), "api": settings.api_url(options)}
    return urls.get(name, "")


def _engine(platform: Platform) -> Iterator[Part]:
    options = platform.options
    urls = {
        "registry": f"https://127.0.0.1:{options.registry.port}",
        "router": f"http://{options.router.host}:{options.router.port}",
    }
    tls = f"HTTPS on port {conf.tls_port(options)}"
    try:
        client = platform.client
        engine = Part("engine", "up", version=str(client.version()["Version"]), address=options.engine_url)
    except (docker.errors.DockerException, requests.RequestException):
        yield Part("engine", "down", address=options.engine_url)
        yield from (Part(name, "down", address=url) for name, url in urls.items())
        return
    for name, url in urls.items():
        part = _container(platform, client, name, url)
        yield dataclasses.replace(part, note=tls) if name == "router" else part
    yield engine


def _container(platform: Platform, client: docker.DockerClient, name: str, url: str) -> Part:
    found = containers.find(client, platform.instance, name)
    if found is None or found.status != "running":
        return Part(name, "down", address=url)
    verify = str(platform.state / "secrets/registry-ca.crt")
    up = addresses.answers(f"{url}/v2/" if name == "registry" else url, verify)
    version = _version(found, name)
    memory = _memory(found.attrs["State"]["Pid"])
    return Part(name, "up" if up else "down", found.name or "", version, url, found.attrs["RestartCount"], memory)


def _version(container: containers.Container, part: str) -> str:
    """Return the version that the program in a container says it has."""
    with contextlib.suppress(docker.errors.DockerException):
        said = container.exec_run(VERSIONS[part]).output
        found = re.search(r"\d+\.\d+[\w.+~-]*", said.decode(errors="replace") if isinstance(said, bytes) else "")
        return found[0] if found else ""
    return ""


def _memory(pid: int) -> int:
    """Return MiB that a process and its children hold, shared pages divided among those that share them."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += each.memory_full_info().pss
    return total >> 20
