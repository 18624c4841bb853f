# SPDX-License-Identifier: Apache-2.0
"""Applications and their environments in Solum's words, with the addresses at which they are served."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stackyard.api.application_deployment.views.form import View, time_of
from stackyard.api.application_deployment.views.statuses import DELETING, of_app
from stackyard.api.call import Call
from stackyard.intents.applications import Progress
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release, Stage, host_label
from stackyard.model.phase import Phase

Look = Callable[[Sequence[Application], str], Progress]


def app(call: Call, record: Application, progress: Progress, environment: str = PRODUCTION) -> View:
    """Return an application with what is under way for it in one environment."""
    build, deployment = progress.builds.get(record.id), progress.deployments.get(record.id)
    status, reason = of_app(record, build, deployment)
    return {
        "uuid": record.id,
        "id": record.id,
        "uri": f"{call.url}/v1/apps/{record.id}",
        "name": record.name,
        "description": record.description,
        "type": "app",
        "project_id": record.project_id,
        "user_id": record.extra.get("user_id"),
        "status": status,
        "status_reason": reason,
        "environment": environment,
        "app_url": address(call, record, progress.releases.get(record.id)),
        "urls": addresses(call, record, progress.releases.get(record.id)),
        "release": max(0, deployment.serving) if deployment else 0,
        "scale_config": _scale(deployment),
        "groups": {name: each.formation.value for name, each in deployment.groups.items()} if deployment else {},
        "cluster_id": deployment.cluster_id if deployment else None,
        "buildpacks": list(record.buildpacks),
        "created_at": time_of(record.created_at),
        "updated_at": time_of(record.updated_at),
    }


def environment(call: Call, of: Application, record: Deployment, look: Look) -> View:
    """Return an environment: where it is, what serves there, and what is under way."""
    progress = look([of], record.environment)
    status, reason = of_app(of, progress.builds.get(of.id), record)
    return {
        "uuid": record.id,
        "uri": f"{call.url}/v1/apps/{of.id}/environments/{record.environment}",
        "name": record.environment,
        "app_id": of.id,
        "cluster_id": record.cluster_id,
        "status": DELETING if record.phase is Phase.DELETING else status,
        "status_reason": record.status_reason if record.phase is Phase.DELETING else reason,
        "release": max(0, record.serving),
        "app_url": address(call, of, progress.releases.get(of.id)),
        "scale_config": _scale(record),
        "created_at": time_of(record.created_at),
        "updated_at": time_of(record.updated_at),
    }


def _scale(record: Deployment | None) -> View:
    return {name: {"target": str(count)} for name, count in record.scale.items()} if record else {}


def address(call: Call, record: Application, newest: Release | None) -> str | None:
    """Return the URL of the environment that a release is for; None where it listens nowhere."""
    if newest is None or not any(service.port for service in newest.spec.services):
        return None
    conf = call.services.conf
    port = "" if conf.router.port == 80 else f":{conf.router.port}"
    label = host_label(record.name, newest.environment)
    return f"http://{label}.{record.project_name}.{conf.apps.domain}{port}"


def addresses(call: Call, record: Application, newest: Release | None) -> dict[str, str]:
    """Return the URL of each service that listens: `web` (else the first) has the environment's own."""
    main = address(call, record, newest)
    routed = [each.name for each in newest.spec.services if each.port and each.stage is Stage.RUN] if newest else []
    if not routed or main is None:
        return {}
    first = "web" if "web" in routed else routed[0]
    return {name: main if name == first else main.replace("://", f"://{name}.", 1) for name in routed}
