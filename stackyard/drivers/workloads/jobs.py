# SPDX-License-Identifier: Apache-2.0
"""Commands that run once, on Docker: implements the port Jobs; called by the worker and for live streams.

A job is a plain container beside the swarm's own, on the application's network, under a name made of the job's id.
It carries the labels of a run, so that its lines are in the application's log; knows no database.
"""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackyard.drivers.workloads import files, images, spec
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.drivers.workloads.duplex import EngineStream, upgrade
from stackyard.drivers.workloads.observe import Container, moment
from stackyard.drivers.workloads.reach import Reach
from stackyard.drivers.workloads.reasons import exit_reason
from stackyard.drivers.workloads.resources import STOP_SECONDS, ensure_network
from stackyard.drivers.workloads.sources import read
from stackyard.model import errors
from stackyard.model.ports import ClusterAccess, JobSeen, JobSpec, Registry, Replica, Stream

TERM = "xterm-256color"
INITS = ("tini", "dumb-init")
MARK = "STACKYARD_EXEC"
"""The variable by which the processes of an `exec` are known."""
END = """
for signal in HUP TERM KILL; do
  for each in /proc/[0-9]*; do
    if grep -qsF "$1" "$each/environ"; then kill -s $signal "${each#/proc/}" 2>/dev/null; fi
  done
  sleep 1
done
"""
_STATES = {"created": "created", "running": "running", "paused": "running", "restarting": "running"}


class SwarmJobs:
    """Jobs on a swarm whose nodes' engines are reached with mutual TLS."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._reach = Reach()

    def create(self, access: ClusterAccess, node: str, job: JobSpec) -> None:
        """Make the job's container on the node; raises GiveUp when its image or network can't be used."""
        engine = engine_of(access, node)
        image = job.run.service.image
        if not image:
            raise errors.GiveUp(f"service {job.run.service.name} has no image")
        self._reach.manager(access, attachable(job.run.app_id))
        images.bring(engine, image, images.grant(self._registry, image))
        asked = container(job, init=not _has_init(engine, job))
        if job.run.files:
            return _create_with_files(engine, job, asked)
        with contextlib.suppress(errors.Conflict):  # it is there
            engine.post("/containers/create", asked, name=name_of(job.id))
        return None

    def start(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Start it, unless it has been."""
        try:
            engine_of(access, node).post(f"/containers/{name_of(job_id)}/start")
        except errors.NotFound as error:
            raise errors.GiveUp(f"the job can't be started: {error}") from error

    def look(self, access: ClusterAccess, node: str, job_id: str) -> JobSeen | None:
        """Return what the node's engine says of it; None when it knows none."""
        try:
            return seen(engine_of(access, node).get(f"/containers/{name_of(job_id)}/json"))
        except errors.NotFound:
            return None

    def stop(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop it with its own signal and grace."""
        engine, path = engine_of(access, node), f"/containers/{name_of(job_id)}"
        with contextlib.suppress(errors.NotFound):
            labels = engine.get(f"{path}/json")["Config"]["Labels"]
            seconds = math.ceil(float(labels.get(spec.GRACE, 0)))
            engine.post(f"{path}/stop", seconds=seconds + STOP_SECONDS, t=seconds)

    def remove(self, access: ClusterAccess, node: str, job_id: str) -> None:
        """Stop and remove it."""
        self.stop(access, node, job_id)
        engine = engine_of(access, node)
        for name in (name_of(job_id), unfinished(job_id)):
            engine.delete(f"/containers/{name}", force=1, v=1)  # with the volumes that its image alone asks for

    def tail(self, access: ClusterAccess, node: str, job_id: str, lines: int) -> str:
        """Return the last lines that it wrote; "" when it is gone."""
        engine = engine_of(access, node)
        found = engine.get("/containers/json", all=1, filters=labelled(f"{spec.JOB}={job_id}"))
        if not found:
            return ""
        return "\n".join(line.text for line in list(read(Container(engine.node, found[0]), lines))[-lines:])

    def attach(self, access: ClusterAccess, node: str, job_id: str) -> Stream:
        """Return the stream of a job that has not been started yet."""
        engine, path = engine_of(access, node), f"/containers/{name_of(job_id)}"
        config = engine.get(f"{path}/json")["Config"]
        return EngineStream(
            upgrade(engine, f"{path}/attach?stream=1&stdin=1&stdout=1&stderr=1"),
            terminal=config["Tty"],
            resized=lambda rows, columns: engine.post(f"{path}/resize", h=rows, w=columns),
            ended=lambda: _job_result(engine, path),
        )

    def exec(
        self, access: ClusterAccess, replica: Replica, command: Sequence[str], *, terminal: bool = False
    ) -> Stream:
        """Begin a command in a running replica; raises NotFound when that is gone."""
        engine = engine_of(access, replica.node)
        found = engine.get("/containers/json", filters=labelled(f"{spec.SWARM_TASK}={replica.id}"))
        if not found:
            raise errors.NotFound(f"replica {replica.service}.{replica.slot} does not run any more")
        return begun(engine, found[0]["Id"], command, terminal=terminal)


def begun(engine: NodeEngine, container_id: str, command: Sequence[str], *, terminal: bool = False) -> Stream:
    """Begin a command in a running container; return its stream."""
    mark = f"{MARK}={secrets.token_hex(16)}"
    streams = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": terminal}
    path = engine.exec(container_id, command, **streams, Env=[mark, *([f"TERM={TERM}"] if terminal else [])])
    return EngineStream(
        upgrade(engine, f"{path}/start", {"Detach": False, "Tty": terminal}),
        terminal=terminal,
        resized=lambda rows, columns: engine.post(f"{path}/resize", h=rows, w=columns),
        ended=lambda: _exec_result(engine, path),
        abandoned=lambda: _end_exec(engine, container_id, path, mark),
    )


def name_of(job_id: str) -> str:
    """Return the name of a job's container."""
    return f"job-{job_id}"


def unfinished(job_id: str) -> str:
    """Return the name of a job's container until its files are in it: whoever looks for the job finds none before."""
    return f"making-{job_id}"


def _create_with_files(engine: NodeEngine, job: JobSpec, asked: Mapping[str, Any]) -> None:
    """Make the container whole or not at all: one that an earlier attempt began goes first."""
    name = unfinished(job.id)
    engine.delete(f"/containers/{name}", force=1)
    engine.post("/containers/create", asked, name=name)
    engine.unpack(name, files.archive(job.run.files, engine.node.name))
    try:
        engine.post(f"/containers/{name}/rename", name=name_of(job.id))
    except errors.Conflict:  # it is there
        engine.delete(f"/containers/{name}", force=1)


def attachable(app_id: str) -> Callable[[NodeEngine], None]:
    """Return the call that sees to it that the application has a network which jobs can be on."""

    def ensure(engine: NodeEngine) -> None:
        ensure_network(engine, app_id)
        if not engine.get(f"/networks/{spec.network_name(app_id)}", scope="swarm")["Attachable"]:
            raise errors.GiveUp(
                "the application's network was made by an earlier version and takes no jobs;"
                " destroy the application and push it again"
            )

    return ensure


def container(job: JobSpec, *, init: bool = True) -> dict[str, Any]:
    """Return the request for a job's container: the service's own, but for its name, its ports and its restarts.

    `init` gives it a first process that passes signals on, for images that have none.
    """
    run, asked = job.run, job.run.service
    network = spec.network_name(run.app_id)
    limits = spec.limits(asked)
    return {
        "Image": asked.image,
        "Labels": spec.labels(run) | {spec.JOB: job.id},
        "Env": [f"{key}={value}" for key, value in sorted(environment(job).items())],
        "Entrypoint": list(asked.entrypoint) if asked.entrypoint is not None else None,
        "Cmd": list(asked.command) if asked.command is not None else None,
        "WorkingDir": asked.working_dir or "",
        "User": asked.user or "",
        "Tty": job.terminal,
        "OpenStdin": job.stdin,
        "StdinOnce": job.stdin,
        "AttachStdin": job.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": network,
            "Mounts": [spec.mount(run.app_id, each) for each in asked.mounts],
            "NanoCpus": limits.get("NanoCPUs", 0),
            "Memory": limits.get("MemoryBytes", 0),
            "Init": init,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": spec.LOG_DRIVER["Name"], "Config": spec.LOG_DRIVER["Options"]},
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {}}},
    }


def environment(job: JobSpec) -> Mapping[str, str]:
    """Return what the command finds in its environment; a terminal is named."""
    return ({"TERM": TERM} if job.terminal else {}) | dict(job.run.environment)


def seen(details: Mapping[str, Any]) -> JobSeen:
    """Return what an inspection says of a job."""
    told = details["State"]
    state = _STATES.get(told["Status"], "exited")
    ended = state == "exited"
    return JobSeen(
        state=state,
        exit_code=int(told["ExitCode"]) if ended else None,
        reason=exit_reason(details) if ended and told["ExitCode"] else "",
        started_at=moment(told.get("StartedAt", "")) or 0,
        ended_at=(moment(told.get("FinishedAt", "")) or 0) if ended else 0,
    )


def _has_init(engine: NodeEngine, job: JobSpec) -> bool:
    """Tell whether the image begins with such a process itself: the inner of two would complain in the output."""
    asked = job.run.service
    first = asked.entrypoint or engine.get(f"/images/{asked.image}/json")["Config"].get("Entrypoint") or [""]
    return first[0].rpartition("/")[2] in INITS


def engine_of(access: ClusterAccess, node: str) -> NodeEngine:
    """Return the engine of a node by its name; raises GiveUp when that is gone."""
    found = next((each for each in access.nodes if each.name == node), None)
    if found is None:
        raise errors.GiveUp(f"node {node} is gone")
    return NodeEngine(found)


def _job_result(engine: NodeEngine, path: str) -> tuple[int, str]:
    engine.post(f"{path}/wait")  # its output ends a moment before it does
    found = seen(engine.get(f"{path}/json"))
    return found.exit_code or 0, found.reason


def _end_exec(engine: NodeEngine, container: str, path: str, mark: str) -> None:
    """End a command that goes on, with all that it started: the engine itself can't, but the container's shell can.

    It is known by its environment, which only processes of the same user can see.
    """
    if engine.get(f"{path}/json")["Running"]:
        ending = engine.exec(container, ["/bin/sh", "-c", END, "sh", mark])
        engine.post(f"{ending}/start", {"Detach": True, "Tty": False})


def _exec_result(engine: NodeEngine, path: str) -> tuple[int, str]:
    code = int(engine.get(f"{path}/json")["ExitCode"] or 0)
    return code, f"exited with code {code}"
