# SPDX-License-Identifier: Apache-2.0
"""From the services of a release to what the cluster is asked to run, named after all that it is made of.

Called by the nouns deployment and job.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

from stackyard.drivers.files.rendering import Rendering
from stackyard.model import errors
from stackyard.model.applications import Deployment, Release, Service
from stackyard.model.files import RunFile
from stackyard.model.ports import Run, Secrets

ADDED: Mapping[str, object] = {"files": (), "again": False, "group": None, "labels": {}, "backup": None}
"""Fields that services did not have in earlier versions: without them, what runs keeps its name and goes on."""


def runs_of(secrets: Secrets, of: Deployment, release: Release, services: Sequence[Service]) -> tuple[Run, ...]:
    """Return services of a release as they shall run in an environment, with its config in clear.

    Config is for the code that was pushed: Redis beside it neither needs its secrets nor a restart for them. Where
    nothing was built, everything gets it, unless files say which service needs what.
    """
    rendering = Rendering(secrets, release)
    configured = [service.name for service in release.spec.services if service.build]
    everywhere = not configured and not release.spec.files
    return tuple(
        _run(
            of,
            release,
            service,
            rendering.config if everywhere or service.origin in configured else {},
            rendering.files(service),
        )
        for service in services
    )


def service_of(release: Release, name: str) -> Service:
    """Return a service of a release; raises GiveUp where it has none of this name."""
    found = release.spec.named(name)
    if found is None:
        raise errors.GiveUp(f"release {release.number} has no service '{name}'")
    return found


def _run(
    of: Deployment, release: Release, service: Service, config: Mapping[str, str], files: tuple[RunFile, ...]
) -> Run:
    """Return a service of a release as it shall run, named after all that makes it differ from another."""
    environment = {**service.environment, **config}
    if service.port:
        environment.setdefault("PORT", str(service.port))
    made_of = dataclasses.asdict(
        dataclasses.replace(service, replicas=0, build=None, depends_on=(), domains=(), labels={}, backup=None)
    )
    for added in (field for field in ADDED if made_of[field] == ADDED[field]):
        del made_of[added]
    parts = [made_of, environment, *(dataclasses.asdict(file) for file in files)]
    text = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Run(
        name=f"{of.workload_id[:8]}-{service.name}-{digest}"[:63],
        app_id=of.workload_id,
        release=release.number,
        service=service,
        replicas=of.scale.get(service.name, service.replicas),
        environment=environment,
        digest=digest,
        pin=of.pins.get(service.name) if service.mounts or service.group else None,
        files=files,
    )
