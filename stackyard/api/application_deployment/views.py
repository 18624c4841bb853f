# SPDX-License-Identifier: Apache-2.0
"""How records look in Solum's words; the only place where its statuses exist."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackyard.api.call import Call
from stackyard.intents.applications import Progress
from stackyard.intents.groups import GroupKnown
from stackyard.model.applications import PRODUCTION, Application, Deployment, Release, Stage, host_label
from stackyard.model.builds import Build, Step
from stackyard.model.phase import FAILED, IN_PROGRESS, Phase
from stackyard.model.ports import Replica, RunSeen
from stackyard.model.records import Event, Record
from stackyard.model.sources import without_password

View = dict[str, Any]

SYNCED = "synced"
QUEUED, BUILDING, DEPLOYING = "QUEUED", "BUILDING", "DEPLOYING"
COMPLETE, ERROR, DELETING = "DEPLOYMENT_COMPLETE", "ERROR", "DELETING"
PACKS = uuid.UUID("6f0f5a0e-7f6b-5b0e-9d57-0d0f4f2b8a11")


def platform(call: Call) -> View:
    """Return the description of the platform."""
    return {
        "uri": f"{call.url}/v1",
        "name": "solum",
        "type": "platform",
        "description": "Applications from source to running, by Stackyard",
        "implementation_version": "1",
        "apps_uri": f"{call.url}/v1/apps",
        "language_packs_uri": f"{call.url}/v1/language_packs",
        "sources_uri": f"{call.url}/v1/sources",
    }


def app(call: Call, record: Application, progress: Progress, environment: str = PRODUCTION) -> View:
    """Return an application with what is under way for it in one environment."""
    build, deployment = progress.builds.get(record.id), progress.deployments.get(record.id)
    status, reason = _status(record, build, deployment)
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
        "created_at": _time(record.created_at),
        "updated_at": _time(record.updated_at),
    }


Look = Callable[[Sequence[Application], str], Progress]


def environment(call: Call, of: Application, record: Deployment, look: Look) -> View:
    """Return an environment: where it is, what serves there, and what is under way."""
    progress = look([of], record.environment)
    status, reason = _status(of, progress.builds.get(of.id), record)
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
        "created_at": _time(record.created_at),
        "updated_at": _time(record.updated_at),
    }


def _scale(record: Deployment | None) -> View:
    return {name: {"target": str(count)} for name, count in record.scale.items()} if record else {}


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
        "status": _build_status(build),
        "step": observed.step.value,
        "status_reason": build.status_reason,
        "release": observed.release,
        "revision": observed.revision or build.source.revision,
        "images": observed.images,
        "seconds": observed.seconds,
        "unchanged": _is_newest(build),
        "created_at": _time(build.created_at),
        "updated_at": _time(build.updated_at),
    }


def _is_newest(build: Build) -> bool:
    """Tell whether a rebase had nothing to move: it makes no images then, and names the release that serves."""
    return build.source.rebase and build.observed.release > 0 and not build.observed.images


def rollback(call: Call, of: Application, made: Release, deployment: Deployment | None) -> View:
    """Return the workflow that brings an older release back, or to another environment, as release `made`."""
    status, reason = _release_status(made, deployment)
    return {
        **_workflow(call, of, made.id, ["deploy"]),
        "environment": made.environment,
        "images": {service.name: service.image for service in made.spec.services},
        "status": status,
        "step": Step.DONE.value if status == COMPLETE else Step.DEPLOY.value,
        "status_reason": reason,
        "release": made.number,
        "revision": made.revision,
        "created_at": _time(made.created_at),
    }


def scaling(call: Call, of: Application, scaled: Deployment, count: int) -> View:
    """Return the workflow that scales: it has no record of its own, the application's events tell of it."""
    return {
        **_workflow(call, of, of.id, ["scale"]),
        "environment": scaled.environment,
        "status": DEPLOYING,
        "step": Step.DEPLOY.value,
        "scale_target": count,
        "created_at": _time(scaled.updated_at),
    }


def release(record: Release, config_keys: Sequence[str], serving: Mapping[str, int]) -> View:
    """Return a release; of its config only the names. `serving` has the release that serves by environment."""
    return {
        "uuid": record.id,
        "number": record.number,
        "environment": record.environment,
        "revision": record.revision,
        "summary": record.summary,
        "images": {service.name: service.image for service in record.spec.services},
        "config_keys": list(config_keys),
        "created_at": _time(record.created_at),
        "current": record.number == serving.get(record.environment),
    }


def event(of: Event) -> View:
    """Return one line of history."""
    return {"id": of.id, "at": of.at.isoformat(), "kind": of.kind, "message": of.message}


def process(run: RunSeen, replica: Replica, loop: str = "") -> View:
    """Return one replica of a run; `loop` says why the run keeps restarting.

    `restarts` is how often its slot has stopped lately, as far as is remembered; `cpu` is a share of one core.
    """
    restarted = sum(task.slot == replica.slot and task.state == "exited" for task in run.tasks)
    return {
        "service": replica.service,
        "replica": replica.slot,
        "state": replica.state,
        "node": replica.node,
        "release": run.release,
        "endpoint": replica.endpoint,
        "started_at": _moment(replica.started_at),
        "ended_at": _moment(replica.ended_at),
        "reason": replica.reason,
        "restarts": restarted,
        "loop": loop,
        "cpu": replica.cpu,
        "memory": replica.memory,
        "memory_limit": replica.memory_limit,
    }


def group(known: GroupKnown, living: Mapping[str, Replica], reason: str | None) -> View:
    """Return a clustered group; a member is `synced` when its health check says so, else as its container is."""
    state = known.state
    members = [_member(name, living.get(name), counts=name in state.members) for name in known.members]
    whole = all(each["state"] == SYNCED for each in members)
    return {
        "name": known.name,
        "state": state.formation.value,
        "epoch": state.epoch,
        "begun_by": state.grantee or None,
        "members": members,
        "reason": None if whole else reason,
    }


def _member(name: str, replica: Replica | None, *, counts: bool) -> View:
    state = "absent" if replica is None else SYNCED if replica.state == "running" else replica.state
    return {
        "name": name,
        "state": state,
        "node": replica.node if replica else None,
        "counts": counts,
        "reason": replica.reason if replica else "",
    }


def _moment(seconds: float | None) -> str | None:
    return _time(datetime.datetime.fromtimestamp(seconds, datetime.UTC)) if seconds else None


def language_pack(call: Call, name: str, description: str) -> View:
    """Return a language pack; its id follows from its name."""
    ident = str(uuid.uuid5(PACKS, name))
    return {
        "uuid": ident,
        "uri": f"{call.url}/v1/language_packs/{ident}",
        "name": name,
        "type": "language_pack",
        "status": "READY",
        "description": description,
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


def _status(record: Application, build: Build | None, deployment: Deployment | None) -> tuple[str, str | None]:
    """Return the outcome of the last thing asked of an application: a push, or a change of its deployment."""
    if record.phase is Phase.DELETING:
        return DELETING, record.status_reason
    if record.phase in FAILED:
        return ERROR, record.status_reason
    if build and (
        build.phase in IN_PROGRESS or deployment is None or _untouched(deployment) or _moved(build) > _moved(deployment)
    ):
        return _build_status(build), build.status_reason
    if deployment is None or _untouched(deployment):
        return QUEUED, record.status_reason
    return _deployment_status(deployment), deployment.status_reason


def _untouched(deployment: Deployment) -> bool:
    """Tell whether no release was ever asked for in an environment, or none has come to serve."""
    return deployment.release == 0 and deployment.phase not in FAILED


def _moved(record: Record) -> datetime.datetime:
    return record.updated_at or record.created_at


def _build_status(build: Build) -> str:
    if build.phase in FAILED:
        return ERROR
    if build.phase is Phase.READY:
        return COMPLETE
    return {Step.QUEUED: QUEUED, Step.DEPLOY: DEPLOYING}.get(build.observed.step, BUILDING)


def _deployment_status(deployment: Deployment) -> str:
    if deployment.phase in FAILED:
        return ERROR
    return COMPLETE if deployment.phase is Phase.READY else DEPLOYING


def _release_status(made: Release, deployment: Deployment | None) -> tuple[str, str | None]:
    if deployment is None:
        return ERROR, "the application's deployment is gone"
    if deployment.serving == made.number:
        return COMPLETE, None
    if deployment.release == made.number:
        return _deployment_status(deployment), deployment.status_reason
    if deployment.serving > made.number:
        return COMPLETE, f"release {deployment.serving} came after it"
    return ERROR, deployment.status_reason or "it was not reached; the release before goes on serving"


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


def _time(at: datetime.datetime | None) -> str | None:
    return at.isoformat() if at else None
