# SPDX-License-Identifier: Apache-2.0
"""Builds the store and the drivers from the options: what the API and the worker have in common.

The one place that knows which driver implements which port on this platform.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import docker
from oslo_config import cfg

from stackyard.drivers.backups.folder import FolderVault
from stackyard.drivers.builders import Limits, StackCommand, Supplies, TenantBuilder
from stackyard.drivers.certificates.hosts import HostCertificates
from stackyard.drivers.certificates.x509 import X509
from stackyard.drivers.engines.swarm import SwarmEngine
from stackyard.drivers.logs.files import FileLogStore
from stackyard.drivers.logs.keeper import Bounds
from stackyard.drivers.machines.docker import DockerMachines
from stackyard.drivers.registries.distribution import DistributionRegistry, node_files
from stackyard.drivers.registries.host_images import HostImages
from stackyard.drivers.registries.rebase import RegistryRebase
from stackyard.drivers.routers.haproxy import HAProxyRouter
from stackyard.drivers.secrets.authorities import Authorities
from stackyard.drivers.secrets.fernet import FernetSecrets
from stackyard.drivers.sources.addresses import Gate
from stackyard.drivers.sources.archives import SourceFolder
from stackyard.drivers.sources.repositories import BareRepositories, Room
from stackyard.drivers.workloads.contents import SwarmContents
from stackyard.drivers.workloads.jobs import SwarmJobs
from stackyard.drivers.workloads.swarm import SwarmWorkloads
from stackyard.model.ports import (
    Contents,
    Engine,
    GitRepositories,
    Jobs,
    LogStore,
    Machines,
    Rebaser,
    Registry,
    Router,
    Secrets,
    Sources,
    Vault,
    Workloads,
)
from stackyard.store import Store, Transaction
from stackyard.store.leases import Leases
from stackyard.store.records import Scheduled
from stackyard.store.wake import Bell

STACKS = StackCommand((sys.executable, "-m", "stackyard.local.stacks"))
"""A process of its own: it outlives a worker that is killed, and the next attempt finds what it made."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """The platform's parts, each behind its port."""

    options: cfg.ConfigOpts
    folder: pathlib.Path
    bell: Bell
    store: Store
    secrets: Secrets
    authorities: Authorities
    machines: Machines
    engine: Engine
    workloads: Workloads
    jobs: Jobs
    contents: Contents
    vault: Vault
    registry: Registry
    rebaser: Rebaser
    router: Router
    certificates: HostCertificates
    logs: LogStore
    sources: Sources
    repositories: GitRepositories
    builder: TenantBuilder

    def leases(self, rows: Callable[[Transaction], Scheduled[Any]]) -> Leases:
        """Return the leases of one noun."""
        return Leases(self.store, rows, self.options.worker.lease_seconds)


def assemble(options: cfg.ConfigOpts) -> Parts:
    """Build everything; connects to nothing until it is used."""
    folder = pathlib.Path(options.state_dir)
    bell = Bell(folder / "run")
    secrets = FernetSecrets(folder / "secrets" / "fernet.key")
    client = docker.DockerClient(base_url=options.engine_url, version="auto", timeout=120, max_pool_size=32)
    registry = DistributionRegistry(client, options.instance, folder, options.registry.port)
    sources = SourceFolder(folder / "sources", gate=Gate(options.apps.refused_networks))
    return Parts(
        options=options,
        folder=folder,
        bell=bell,
        store=Store(options.database.connection, options.database.pool_size, bell.ring),
        secrets=secrets,
        authorities=Authorities(secrets, X509()),
        machines=DockerMachines(
            client, options.instance, subnets=options.machines.subnets, files=lambda: node_files(folder)
        ),
        engine=SwarmEngine(),
        workloads=SwarmWorkloads(registry),
        jobs=SwarmJobs(registry),
        contents=SwarmContents(),
        vault=FolderVault(folder / "backups", secrets, options.backups.megabytes),
        registry=registry,
        rebaser=RegistryRebase(registry.manifests, registry.address()),
        router=HAProxyRouter(folder / "router"),
        certificates=HostCertificates(folder / "certificates"),
        logs=FileLogStore(folder / "lines", Bounds(options.logs.megabytes * 1024 * 1024, options.logs.days * 86400.0)),
        sources=sources,
        repositories=BareRepositories(folder / "repositories", sources, _room(options)),
        builder=TenantBuilder(
            registry,
            limits=Limits(options.apps.build_seconds, options.apps.build_cores or spare_cores()),
            supplies=Supplies(
                STACKS,
                sources.checkout,
                HostImages(lambda: client, registry, options.registry.port, options.apps.host_images),
            ),
        ),
    )


def spare_cores() -> float:
    """Return how many cores a build may use: one is left to what serves."""
    return float(min(2, max(1, (os.cpu_count() or 1) - 1)))


def _room(options: cfg.ConfigOpts) -> Room:
    """Return what a push may bring; one may last as long as several builds that wait for each other."""
    mib = 1024 * 1024
    return Room(options.api.max_body_mb * mib, options.apps.repository_mb * mib, 4.0 * options.apps.build_seconds)


def config_file() -> str | None:
    """Return the options file that the supervisor names, if it does."""
    return os.environ.get("STACKYARD_CONF")
