# SPDX-License-Identifier: Apache-2.0
"""Solum's statuses, and what they follow from: the phases of an application, its builds and its deployments."""

from __future__ import annotations

import datetime

from stackyard.model.applications import Application, Deployment, Release
from stackyard.model.builds import Build, Step
from stackyard.model.phase import FAILED, IN_PROGRESS, Phase
from stackyard.model.records import Record

QUEUED, BUILDING, DEPLOYING = "QUEUED", "BUILDING", "DEPLOYING"
COMPLETE, ERROR, DELETING = "DEPLOYMENT_COMPLETE", "ERROR", "DELETING"


def of_app(record: Application, build: Build | None, deployment: Deployment | None) -> tuple[str, str | None]:
    """Return the outcome of the last thing asked of an application: a push, or a change of its deployment."""
    if record.phase is Phase.DELETING:
        return DELETING, record.status_reason
    if record.phase in FAILED:
        return ERROR, record.status_reason
    if build and (
        build.phase in IN_PROGRESS or deployment is None or _untouched(deployment) or _moved(build) > _moved(deployment)
    ):
        return of_build(build), build.status_reason
    if deployment is None or _untouched(deployment):
        return QUEUED, record.status_reason
    return of_deployment(deployment), deployment.status_reason


def of_build(build: Build) -> str:
    """Return how far a push is."""
    if build.phase in FAILED:
        return ERROR
    if build.phase is Phase.READY:
        return COMPLETE
    return {Step.QUEUED: QUEUED, Step.DEPLOY: DEPLOYING}.get(build.observed.step, BUILDING)


def of_release(made: Release, deployment: Deployment | None) -> tuple[str, str | None]:
    """Return what became of a release that was asked for by its number, and why."""
    if deployment is None:
        return ERROR, "the application's deployment is gone"
    if deployment.serving == made.number:
        return COMPLETE, None
    if deployment.release == made.number:
        return of_deployment(deployment), deployment.status_reason
    if deployment.serving > made.number:
        return COMPLETE, f"release {deployment.serving} came after it"
    return ERROR, deployment.status_reason or "it was not reached; the release before goes on serving"


def of_deployment(deployment: Deployment) -> str:
    """Return how far the release is that was asked for."""
    if deployment.phase in FAILED:
        return ERROR
    return COMPLETE if deployment.phase is Phase.READY else DEPLOYING


def _untouched(deployment: Deployment) -> bool:
    """Tell whether no release was ever asked for in an environment, or none has come to serve."""
    return deployment.release == 0 and deployment.phase not in FAILED


def _moved(record: Record) -> datetime.datetime:
    return record.updated_at or record.created_at
