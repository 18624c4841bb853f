# SPDX-License-Identifier: Apache-2.0
"""The one-machine platform as a whole: brought up or repaired, and taken down.

Called by `stackyard up` and `down`. Each step finds what an earlier run left, however that ended, and finishes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import docker
import docker.errors
from oslo_config import cfg

import stackyard
from stackyard import conf
from stackyard.api.policy import policy_file
from stackyard.drivers.certificates.hosts import HostCertificates
from stackyard.drivers.machines.purge import purge as purge_engine
from stackyard.drivers.registries.distribution import DistributionRegistry
from stackyard.drivers.routers import haproxy
from stackyard.drivers.secrets.fernet import ensure_key
from stackyard.local import (
    addresses,
    clouds,
    containers,
    engine,
    identity,
    images,
    readiness,
    registry,
    settings,
    stacks,
)
from stackyard.local.addresses import Address
from stackyard.local.state import State
from stackyard.local.supervisor import Program, Supervisor

RECIPES = ("registry", "haproxy", "node", "python", "redis")
PUBLISHED = (
    ("redis", "library/redis:7"),
    ("redis", "library/redis:latest"),
    ("python", "stackyard/python:3.11"),
    ("python", "stackyard/python:latest"),
)
"""Images that applications are made of: recipe and name in the registry."""


class Progress(Protocol):
    """How the caller wants to hear of what goes on."""

    def note(self, text: str, mark: str = "•") -> None:
        """Tell one line."""

    def step(self, text: str) -> contextlib.AbstractContextManager[Callable[[str], None]]:
        """Tell of a longer step while the block runs; yields a function that takes details."""


@dataclasses.dataclass(frozen=True)
class Platform:
    """One platform: its state folder and options, and a connection to the Engine."""

    state: State
    options: cfg.ConfigOpts
    progress: Progress

    @property
    def client(self) -> docker.DockerClient:
        """Return a new connection to the Engine."""
        return docker.DockerClient(base_url=self.options.engine_url, version="auto", timeout=120)

    @property
    def instance(self) -> str:
        """Return the prefix of container names."""
        return str(self.options.instance)

    @property
    def registry(self) -> DistributionRegistry:
        """Return the registry as its driver."""
        return DistributionRegistry(self.client, self.instance, self.state.folder, self.options.registry.port)


def up(state: State, given: settings.Given, progress: Progress) -> Platform:
    """Bring the platform up with the options `given` now and before; raises StackyardError saying what is missing."""
    options = settings.merge(state, given)
    state.make()
    with state.alone(progress.note):
        platform = Platform(state, settings.merge(state, given), progress)
        supervisor = Supervisor(state)
        if supervisor.end_orphans():
            progress.note("ended the processes of a platform whose supervisor was killed")
        with progress.step("Docker Engine") as say:
            engine.ensure_engine(options.engine_url, say, state.folder)
        addresses.check(_free_ports_needed(platform, supervisor))
        _bring_up(platform, supervisor)
    return platform


def down(state: State, progress: Progress, *, purge: bool) -> None:
    """Stop everything; with `purge` remove it too, data included. What is absent already is no error."""
    if not state.folder.exists():
        return
    with state.alone(progress.note):
        with progress.step("stopping processes"):
            Supervisor(state).stop()
        options = settings.merge(state, {})
        with progress.step("stopping containers"):
            _stop_containers(Platform(state, options, progress), purge=purge)
        if purge:
            with progress.step("removing data"):
                _remove_state(state)


# --- up ----------------------------------------------------------------------------------------


def _free_ports_needed(platform: Platform, supervisor: Supervisor) -> list[Address]:
    """Return the addresses that must be free: all but those that we serve on ourselves."""
    options, wanted = platform.options, []
    old = settings.read(platform.state) if platform.state.conf.exists() else None
    running = {each.name for each in supervisor.processes() if each.pid}
    for part, group in (("api", "api"), ("keystone", "identity")):
        new = Address(part, options.api.host, options[group].port, f"--{group}-port")
        if not (part in running and old and (old.api.host, old[group].port) == (new.host, new.port)):
            wanted.append(new)
    for part, host, port, flag in _container_ports(options):
        new = Address(part, host, port, flag)
        found = containers.find(platform.client, platform.instance, part)
        same = old and (part, host, port, flag) in _container_ports(old)
        if not (found and found.status == "running" and same):
            wanted.append(new)
    return wanted


def _container_ports(options: cfg.ConfigOpts) -> list[tuple[str, str, int, str]]:
    """Return part, address, port and option of all that the platform's containers serve."""
    router = options.router
    return [
        ("registry", "127.0.0.1", options.registry.port, "--registry-port"),
        ("router", router.host, router.port, "--router-port"),
        ("router", router.host, conf.tls_port(options), "--router-tls-port"),
    ]


def _bring_up(platform: Platform, supervisor: Supervisor) -> None:
    """Make everything ready to run, then run it, then wait until each part answers."""
    fresh = not supervisor.runs()
    _configure(platform)
    with ThreadPoolExecutor(1, "prepare") as pool:
        prepared = pool.submit(_prepare_databases, platform)
        built = _build_images(platform)
        prepared.result()
    try:
        _start(platform, supervisor, built)
    except BaseException:
        if fresh:  # nothing half-started stays behind
            supervisor.stop()
            _stop_containers(platform, purge=False)
        raise


def _configure(platform: Platform) -> None:
    """Write all that processes and containers read; raises BadInput for a wrong policy file before that."""
    from stackyard.api import http  # noqa: PLC0415  (imports that `status` can do without)

    state, options = platform.state, platform.options
    http.policy_of(options)
    settings.save(state, options)
    ensure_key(state / "secrets/fernet.key")
    registry.prepare(state, platform.instance)
    _prepare_router(state, options)
    if settings.own_identity(options):
        url = settings.identity_url(options)
        identity.configure(state, url)
        clouds.write_clouds(state, url)


def _prepare_router(state: State, options: cfg.ConfigOpts) -> None:
    """Make the CA that host names get their certificates from, and write the router's configuration."""
    certificates = HostCertificates(state / "certificates")
    certificates.prepare(f"Stackyard {options.instance}")
    router = options.router
    # Who asks for an address names no host in the handshake, and gets the default.
    default = certificates.certificate(options.apps.domain, addresses.reached(router.host))
    haproxy.prepare(state / "router", haproxy.Listen(router.host, router.port, conf.tls_port(options), default))


def _prepare_databases(platform: Platform) -> None:
    from stackyard.store import Store  # noqa: PLC0415  (half a second of imports that `status` can do without)

    state, options = platform.state, platform.options
    Store(settings.read(state).database.connection).migrate()
    if settings.own_identity(options):
        with _step_if(platform, not identity.is_prepared(state), "preparing Keystone"):
            identity.prepare(state, settings.identity_url(options))


@contextlib.contextmanager
def _step_if(platform: Platform, condition: bool, text: str) -> Iterator[None]:
    """Tell of a step only where it will take time."""
    if not condition:
        yield
        return
    with platform.progress.step(text):
        yield


def _sources() -> str:
    """Return what differs when the program itself was changed, so that running processes are replaced."""
    folder = pathlib.Path(stackyard.__file__).parent
    loaded = (path for path in folder.rglob("*.py") if path.relative_to(folder).parts[0] not in ("cli", "local"))
    stamps = sorted(f"{path} {path.stat().st_mtime_ns}" for path in loaded)
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def _build_images(platform: Platform) -> dict[str, str]:
    """Return references of the images by recipe, building those that are missing or out of date."""
    with platform.progress.step("images") as say:
        return images.build(platform.client, RECIPES, lambda name, line: say(f"{name}: {line}"))


def _programs(platform: Platform) -> list[Program]:
    state, options = platform.state, platform.options
    host = f"[{options.api.host}]" if ":" in options.api.host else options.api.host
    serve = (sys.executable, "-m", "stackyard.local.serve")
    environment = {"STACKYARD_CONF": str(state.conf), "STACKYARD_STATE_DIR": str(state.folder)}
    api = (*serve, "api", "stackyard.wsgi:application", f"{host}:{options.api.port}", str(options.api.threads))
    inputs = state.conf.read_text() + _sources()
    rules = policy_file(options)
    programs = [
        Program("api", api, environment, inputs + (rules.read_text() if rules else "")),
        Program("worker", (sys.executable, "-m", "stackyard.worker.main"), environment, inputs),
    ]
    if settings.own_identity(options):
        programs.insert(0, identity.program(state, f"{host}:{options.identity.port}"))
    return programs


def _start(platform: Platform, supervisor: Supervisor, built: dict[str, str]) -> None:
    state, options, client = platform.state, platform.options, platform.client
    with platform.progress.step("registry and router"):
        for wanted in (
            containers.registry_container(state, built["registry"], options.registry.port),
            containers.router_container(state, built["haproxy"]),
        ):
            containers.ensure(client, platform.instance, wanted)
        for name in containers.start_nodes(client, platform.instance):
            platform.progress.note(f"node {name} does not start; the worker will replace it")
    with platform.progress.step("Keystone, API and workers"):
        supervisor.ensure(_programs(platform))
        readiness.of_processes(state, options, supervisor)
    with platform.progress.step("library images in the registry") as say:
        readiness.of_containers(state, options, client)
        for recipe, name in PUBLISHED:
            if registry.publish(client, platform.registry, options.registry.port, built[recipe], name):
                say(f"published {name}")
        stacks.refresh(options, lambda name, line: say(f"{name}: {line}"))


# --- down --------------------------------------------------------------------------------------


def _stop_containers(platform: Platform, *, purge: bool) -> None:
    try:
        client = platform.client
    except docker.errors.DockerException:
        return  # no Engine, so nothing of ours runs there
    if not purge:
        containers.stop_all(client, platform.instance)
        return
    purge_engine(client, platform.instance)
    registry.forget(client, platform.options.registry.port)


def _remove_state(state: State) -> None:
    """Remove the folder, but for the log and marker of an Engine that must go on for others."""
    stopped = engine.stop_engine_if_ours(state.folder) or not (state / "engine").exists()
    for path in state.folder.iterdir():
        if path.name == "engine" and not stopped:
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if stopped:
        state.folder.rmdir()
