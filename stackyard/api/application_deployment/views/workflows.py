# SPDX-License-Identifier: Apache-2.0
"""Pushes, rollbacks and scaling as Solum's workflows."""

from __future__ import annotations

from stackyard.api.application_deployment.views.form import View, time_of
from stackyard.api.application_deployment.views.statuses import COMPLETE, DEPLOYING, of_build, of_release
from stackyard.api.call import Call
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release
from stackyard.model.builds import Build, Step
from stackyard.model.sources import without_password


def workflow(call: Call, of: Application, build: Build) -> View:
    """Return a push."""
    observed = build.observed
    return {
        **_workflow(call, of, build.id, ["rebase"] if build.source.rebase else ["build", "deploy"]),
        "wf_id": build.number,
        "environment": build.environment,
        "source": {
            "repository": without_password(build.source.repository),
            "revision": build.source.revision,
            "digest": observed.digest or build.source.digest,
        },
        "status": of_build(build),
        "step": observed.step.value,
        "status_reason": build.status_reason,
        "release": observed.release,
        "revision": observed.revision or build.source.revision,
        "images": observed.images,
        "seconds": observed.seconds,
        "unchanged": _is_newest(build),
        "created_at": time_of(build.created_at),
        "updated_at": time_of(build.updated_at),
    }


def _is_newest(build: Build) -> bool:
    """Tell whether a rebase had nothing to move: it makes no images then, and names the release that serves."""
    return build.source.rebase and build.observed.release > 0 and not build.observed.images


def rollback(call: Call, of: Application, made: Release, deployment: Deployment | None) -> View:
    """Return the workflow that brings an older release back, or to another environment, as release `made`."""
    status, reason = of_release(made, deployment)
    return {
        **_workflow(call, of, made.id, ["deploy"]),
        "environment": made.environment,
        "images": {service.name: service.image for service in made.spec.services},
        "status": status,
        "step": Step.DONE.value if status == COMPLETE else Step.DEPLOY.value,
        "status_reason": reason,
        "release": made.number,
        "revision": made.revision,
        "created_at": time_of(made.created_at),
    }


def scaling(call: Call, of: Application, scaled: Deployment, count: int) -> View:
    """Return the workflow that scales: it has no record of its own, the application's events tell of it."""
    return {
        **_workflow(call, of, of.id, ["scale"]),
        "environment": scaled.environment,
        "status": DEPLOYING,
        "step": Step.DEPLOY.value,
        "scale_target": count,
        "created_at": time_of(scaled.updated_at),
    }


def _workflow(call: Call, of: Application, ident: str, actions: list[str]) -> View:
    return {
        "uuid": ident,
        "id": ident,
        "uri": f"{call.url}/v1/apps/{of.id}/workflows/{ident}",
        "type": "workflow",
        "app_id": of.id,
        "wf_id": None,
        "environment": PRODUCTION,
        "actions": actions,
        "source": {"repository": "", "revision": "", "digest": ""},
        "status_reason": None,
        "release": 0,
        "revision": "",
        "images": {},
        "seconds": {},
        "unchanged": False,
        "updated_at": None,
    }
