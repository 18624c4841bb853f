# SPDX-License-Identifier: Apache-2.0
"""Compose files read into services. Called by `detect`; does no I/O but through the function it is given.

Every way in which a file may be wrong raises BadInput that names the place, the cause and the cure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stackyard.drivers.builders import (
    backups,
    configs,
    dependencies,
    documents,
    groups,
    registries,
    schema,
    stages,
)
from stackyard.drivers.builders.compose_services import ReadFile, ServiceReader, named_buildpacks
from stackyard.drivers.builders.ports import claimed_twice
from stackyard.drivers.files import interpolation
from stackyard.model import errors
from stackyard.model.applications import AppSpec, Mount, Service


def parse(text: str, read: ReadFile) -> AppSpec:
    """Return the services of a Compose file in dependency order; raises BadInput."""
    document = documents.load(text)
    if document is None:
        raise errors.BadInput("the file is empty; it needs services")
    document = interpolation.interpolate(configs.escaped(document), {})
    schema.check(document)
    volumes = _volumes(document)
    _check_networks(document)
    packs = named_buildpacks(document, "x-stackyard")
    services = {name: ServiceReader(name, asked, read, packs).service() for name, asked in document["services"].items()}
    files = configs.files(document, read)
    configs.check(services.values(), files)
    _check_references(services, volumes)
    order = dependencies.in_order({name: service.depends_on for name, service in services.items()})
    notes = (*_notes(document), *groups.notes(services.values()))
    return AppSpec(
        tuple(services[name] for name in order), volumes, notes, files, registries.registry(document, services)
    )


def _volumes(document: dict[str, Any]) -> tuple[str, ...]:
    volumes = document.get("volumes") or {}
    for name, asked in volumes.items():
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}", name):
            raise errors.BadInput(f"volume name {name!r} must consist of letters, digits, '_', '.' and '-'")
        if (asked or {}).get("driver", "local") != "local":
            raise errors.BadInput(f"unsupported driver {asked['driver']!r} in volume {name!r}; remove it")
    return tuple(volumes)


def _check_networks(document: dict[str, Any]) -> None:
    named = [(name, "the file") for name in document.get("networks") or {}]
    for service, asked in document["services"].items():
        named += [(name, f"service {service!r}") for name in asked.get("networks") or ()]
    for name, where in named:
        if name != "default":
            raise errors.BadInput(
                f"unsupported network {name!r} in {where}: all services of an application share one network; remove it"
            )


def _check_references(services: Mapping[str, Service], volumes: tuple[str, ...]) -> None:
    stages.check(services)
    groups.check(services)
    backups.check(services.values())
    for service in services.values():
        for name in service.depends_on:
            if name not in services:
                raise errors.BadInput(f"service {service.name!r} depends_on {name!r}, which is no service of this file")
        for mount in service.mounts:
            _check_mount(service, mount, volumes)


def _check_mount(service: Service, mount: Mount, volumes: tuple[str, ...]) -> None:
    if mount.volume not in volumes:
        cure = f"add it at the file's end: 'volumes: {{{mount.volume}: }}'"
        raise errors.BadInput(f"service {service.name!r} mounts volume {mount.volume!r}, which is not declared; {cure}")


def _notes(document: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if "version" in document:
        notes.append("'version' has no effect; it may be removed")
    if document.get("x-stackyard") and set(document["x-stackyard"]) - {"buildpacks", "registry"}:
        notes.append(
            "of 'x-stackyard' at the top of the file only buildpacks and registry count; the rest is of services"
        )
    for port, claiming in claimed_twice(
        {name: asked.get("ports") or () for name, asked in document["services"].items()}
    ):
        notes.append(f"{claiming} publish port {port}: none of them gets it; each is reached by a host name of its own")
    for name, asked in document["services"].items():
        if len(asked.get("ports") or ()) > 1:
            notes.append(f"service {name!r}: only the first of its ports is routed")
        if asked.get("restart") in ("no", False):
            notes.append(f"service {name!r}: 'restart: no' has no effect; services are always restarted")
        if asked.get("ports") and {"stage", "cron"} & (asked.get("x-stackyard") or {}).keys():
            notes.append(f"service {name!r}: its ports have no effect, since it does not go on running")
        if asked.get("ports") and "group" in (asked.get("x-stackyard") or {}):
            notes.append(
                f"service {name!r}: its ports have no effect, since it is a group, which is reached by its name"
            )
        if asked.get("build") and asked.get("image"):
            notes.append(f"service {name!r}: 'image' has no effect beside 'build'")
    return tuple(notes)
