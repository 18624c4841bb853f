# SPDX-License-Identifier: Apache-2.0
"""From a Run to what Docker Swarm is asked for: names, labels and specifications, as the Engine API words them.

Called by `swarm.py`; pure, knows no connection.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.model.applications import HealthCheck, Mount, Service
from stackyard.model.ports import Run

APP = "stackyard.app"
SERVICE = "stackyard.service"
RELEASE = "stackyard.release"
DIGEST = "stackyard.digest"
PORT = "stackyard.port"
GRACE = "stackyard.grace"
HEALTH = "stackyard.health"
"""What the platform itself asks of the service's port, in the words of `checks.Check`."""
JOB = "stackyard.job"
GROUP = "stackyard.group"
"""The clustered group that a container is a member of."""
FILES = "stackyard.files"
"""How many files it has: when it goes, what no other run uses of them goes too."""
MADE = "stackyard.made"
"""A digest of what the platform asked the service's containers to be, by which a change by hand is seen."""
SWARM_SERVICE = "com.docker.swarm.service.name"
SWARM_TASK = "com.docker.swarm.task.id"
SWARM_TASK_NAME = "com.docker.swarm.task.name"

FILE_IDS = (("Configs", "ConfigID"), ("Secrets", "SecretID"))
RESTART_SECONDS = 1.0
LONGEST_INTERVAL = 5.0
CONNECT_SECONDS = 3.0
LOG_DRIVER = {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}}


def network_name(app_id: str) -> str:
    """Return the name of the application's network, the same for all its releases."""
    return f"{app_id[:8]}_default"


def volume_name(app_id: str, volume: str) -> str:
    """Return the name of an application's volume on the node that holds it."""
    return f"{app_id[:8]}_{volume}"


def nanoseconds(seconds: float) -> int:
    """Return Docker's unit of time."""
    return round(seconds * 1_000_000_000)


def labels(run: Run) -> dict[str, str]:
    """Return what tells of a service, and of each of its containers, whose they are."""
    told = {
        APP: run.app_id,
        SERVICE: run.service.name,
        RELEASE: str(run.release),
        DIGEST: run.digest,
        GRACE: str(run.service.stop_grace),
    }
    if run.files:
        told[FILES] = str(len(run.files))
    if run.service.group_name:
        told |= {GROUP: run.service.group_name}
    if run.service.port:
        told |= {PORT: str(run.service.port)} | network_check(run.service.healthcheck)
    return told


def network_check(asked: HealthCheck | None) -> dict[str, str]:
    """Return the label that has a service's port checked over the network; nothing where a command checks.

    Where nothing is said, a replica is ready when it accepts connections.
    """
    if asked is None:
        return {HEALTH: json.dumps({"timeout": CONNECT_SECONDS})}
    if asked.disabled or not (asked.http or asked.tcp):
        return {}
    said = {
        "http": asked.http,
        "interval": asked.interval,
        "timeout": asked.timeout,
        "retries": asked.retries,
        "start_period": asked.start_period,
        "asked": True,
    }
    return {HEALTH: json.dumps(said, sort_keys=True)}


def network(app_id: str) -> dict[str, Any]:
    """Return the request for the application's overlay network, which plain containers (jobs) may join."""
    return {
        "Name": network_name(app_id),
        "Driver": "overlay",
        "CheckDuplicate": True,
        "Attachable": True,
        "Labels": {APP: app_id},
    }


def service(
    run: Run, network_id: str, constraints: Sequence[str] = (), files: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the request for the run's swarm service on the application's network; `files` are of `files.ensure`.

    Names resolve to the containers themselves (dnsrr), which needs no IPVS in the kernel. The
    router's port is published on the node where the container is, at a port that the engine picks.
    """
    ports = {"Protocol": "tcp", "TargetPort": run.service.port, "PublishMode": "host"}
    containers = container(run) | dict(files or {})
    return {
        "Name": run.name,
        "Labels": labels(run) | {MADE: made(containers)},
        "Mode": {"Replicated": {"Replicas": run.replicas}},
        "EndpointSpec": {"Mode": "dnsrr"} | ({"Ports": [ports]} if run.service.port else {}),
        "TaskTemplate": {
            "ContainerSpec": containers,
            "Resources": {"Limits": limits(run.service)},
            "RestartPolicy": {"Condition": "any", "Delay": nanoseconds(RESTART_SECONDS)},
            "Placement": placement(constraints),
            "Networks": [{"Target": network_id, "Aliases": aliases(run.service)}],
            "LogDriver": LOG_DRIVER,
        },
    }


def made(containers: Mapping[str, Any]) -> str:
    """Return a digest of those parts of a container's specification that engines word as they were asked for them."""
    parts = [containers.get(part) for part in ("Image", "Command", "Args", "Env", "Dir", "User")]
    files = [sorted(each[key] for each in containers.get(kind) or ()) for kind, key in FILE_IDS]
    return hashlib.sha256(json.dumps([parts, files]).encode()).hexdigest()[:12]


def is_changed(service: Mapping[str, Any]) -> bool:
    """Tell whether a service's specification is another one than the platform made; of old ones that is not known."""
    asked = (service.get("Labels") or {}).get(MADE)
    return asked is not None and asked != made(service["TaskTemplate"].get("ContainerSpec") or {})


def aliases(asked: Service) -> list[str]:
    """Return the names that others reach a service by: its own, and its group's where it is a member."""
    return [asked.name, asked.group_name] if asked.group_name else [asked.name]


def placement(constraints: Sequence[str]) -> dict[str, Any]:
    """Return where tasks may run."""
    return {"Constraints": list(constraints)} if constraints else {}


def container(run: Run) -> dict[str, Any]:
    """Return the container part of a task: what the image, the service and the release say.

    It is worded as the engine words it when it is asked (nothing empty but `DNSConfig`): it is sent back like that
    to scale, and swarm replaces the tasks of a service in which it sees a difference, as between none and `[]`.
    """
    asked = run.service
    spec: dict[str, Any] = {
        "Image": asked.image,
        "Labels": labels(run),
        "Env": [f"{key}={literal(value)}" for key, value in sorted(run.environment.items())],
        "Command": list(asked.entrypoint) if asked.entrypoint is not None else None,
        "Args": list(asked.command) if asked.command is not None else None,
        "Dir": asked.working_dir,
        "User": asked.user,
        "Mounts": [mount(run.app_id, each) for each in asked.mounts],
        "StopGracePeriod": nanoseconds(asked.stop_grace),
        "Healthcheck": healthcheck(asked.healthcheck) if asked.healthcheck else None,
        "Init": None if has_init(asked) else True,
        "DNSConfig": {},
    }
    return {key: value for key, value in spec.items() if value not in (None, [])}


def has_init(asked: Service) -> bool:
    """Tell whether its image begins with an init of its own: those of language packs and buildpacks all do.

    The inner of two would complain in the log, and reap nothing.
    """
    return asked.build is not None and not asked.build.dockerfile and asked.entrypoint is None


def literal(value: str) -> str:
    """Return a text that Swarm's templates (`{{.Node.Hostname}}`) leave as it is."""
    return value.replace("{{", '{{"{{"}}')


def mount(app_id: str, asked: Mount) -> dict[str, Any]:
    """Return the mount of a named volume, which the node makes when it first sees it."""
    return {
        "Type": "volume",
        "Source": volume_name(app_id, asked.volume),
        "Target": asked.target,
        "ReadOnly": asked.read_only,
        "VolumeOptions": {"Labels": {APP: app_id}},
    }


def healthcheck(asked: HealthCheck) -> dict[str, Any]:
    """Return Docker's form of a Compose health check; an empty `Test` keeps the image's own.

    The engine checks first after a whole interval, and swarm gives a container its name on the network only
    then. So a long interval is divided, and the number of failures that count as one ill container grows with it.
    """
    if asked.disabled or asked.http or asked.tcp:
        return {"Test": ["NONE"]}
    parts = max(1, math.ceil(asked.interval / LONGEST_INTERVAL))
    return {
        "Test": list(asked.test),
        "Interval": nanoseconds(asked.interval / parts),
        "Timeout": nanoseconds(asked.timeout),
        "Retries": asked.retries * parts,
        "StartPeriod": nanoseconds(asked.start_period),
    }


def limits(asked: Service) -> dict[str, int]:
    """Return the limits that were asked for, and no others."""
    found: dict[str, int] = {}
    if asked.cpus:
        found["NanoCPUs"] = nanoseconds(asked.cpus)
    if asked.memory_bytes:
        found["MemoryBytes"] = asked.memory_bytes
    return found


def replicas(current: Mapping[str, Any]) -> int:
    """Return the number of replicas that an existing specification asks for."""
    return int(current["Mode"].get("Replicated", {}).get("Replicas", 0))


def adjusted(current: Mapping[str, Any], wanted: int, constraints: Sequence[str]) -> dict[str, Any]:
    """Return an existing specification with these replicas and constraints and nothing else changed."""
    found = (current["TaskTemplate"].get("Placement") or {}).get("Constraints") or []
    if replicas(current) == wanted and found == list(constraints):
        return dict(current)
    template = {**current["TaskTemplate"], "Placement": placement(constraints)}
    return {**current, "Mode": {"Replicated": {"Replicas": wanted}}, "TaskTemplate": template}
