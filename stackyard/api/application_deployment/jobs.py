# SPDX-License-Identifier: Apache-2.0
"""Requests on jobs, and commands in running replicas. Called through the table of routes.

What is attached goes through the connection for as long as the command runs, and holds a thread of the API.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Sequence
from typing import Any

from stackyard.api.application_deployment import environments
from stackyard.api.application_deployment.duplex import converse, heard, say
from stackyard.api.call import Call, Duplex, Reply
from stackyard.intents.jobs import Command
from stackyard.model import errors
from stackyard.model.jobs import Job
from stackyard.model.phase import Phase
from stackyard.model.ports import ClusterAccess, Replica

EXEC_QUERY = frozenset({"environment", "replica"})
BEGIN_SECONDS = 90.0
LOOK_SECONDS = 0.04
FIRST_SECONDS = 10.0
MAX_WORDS, MAX_WORD = 1000, 131072
GONE = "the client that was attached to it has gone"

View = dict[str, Any]


def index(call: Call) -> Reply:
    """List the newest jobs of an application, newest first."""
    found = call.services.intents.jobs.list(call.target, call.query.get("environment"))
    return Reply(data=[view(call, job) for job in found])


def create(call: Call) -> Reply:
    """Run a command once, with the image, config and volumes of a service of the release that serves."""
    asked = call.body
    command = Command(
        tuple(asked["command"]),
        asked.get("service") or "",
        terminal=bool(asked.get("terminal")),
        attached=bool(asked.get("attached")),
    )
    job = call.services.intents.jobs.run(call.caller, call.target.id, command, environments.chosen(call))
    return Reply(202, view(call, job))


def check(call: Call) -> Reply:
    """Run the checks of the release that serves."""
    made = call.services.intents.jobs.check(call.caller, call.target.id, environments.chosen(call))
    return Reply(202, [view(call, job) for job in made])


def show(call: Call) -> Reply:
    """Show a job."""
    return Reply(data=view(call, _job(call)))


def stop(call: Call) -> Reply:
    """Ask for a job to end."""
    call.services.intents.jobs.stop(_job(call), "stopped by request")
    return Reply(202)


def attach(call: Call) -> Reply:
    """Begin a job that waits for it, and carry its input and output; it ends when the connection breaks."""
    job = _job(call)
    if not job.attached or job.phase is not Phase.CREATING:
        raise errors.Conflict(f"job {job.number} can't be attached to: it {_why_not(job)}")
    return Reply(duplex=functools.partial(_attached, call, job))


def execute(call: Call) -> Reply:
    """Run a command in a running replica: the first message is `{"command": [...], "terminal": BOOL}`."""
    of = environments.deployment(call)
    access = environments.reach(call, of)
    if access is None:
        raise errors.Conflict(f"nothing of {call.target.name} runs yet")
    runs = call.services.workloads.runs(access, of.workload_id)
    replica = _replica([task for run in runs for task in run.tasks], call.query.get("replica") or "")
    return Reply(duplex=functools.partial(_executed, call, access, replica))


def view(call: Call, job: Job) -> View:
    """Return a job as it is shown."""
    seen = job.observed
    states = {Phase.CREATING: "running" if seen.started_at else "waiting", Phase.READY: "done"}
    end = seen.ended_at or (time.time() if job.phase is Phase.CREATING else seen.started_at)
    return {
        "uuid": job.id,
        "uri": f"{call.url}/v1/apps/{job.app_id}/jobs/{job.id}",
        "number": job.number,
        "name": job.label,
        "kind": job.kind.value,
        "environment": job.environment,
        "service": job.service,
        "release": job.release,
        "command": list(job.command) if job.command else None,
        "status": states.get(job.phase, "failed"),
        "status_reason": job.status_reason,
        "exit_code": seen.exit_code,
        "node": seen.node or None,
        "started_at": _time(seen.started_at),
        "ended_at": _time(seen.ended_at),
        "seconds": round(end - seen.started_at, 3) if seen.started_at else None,
        "created_at": job.created_at.isoformat(),
    }


def _time(seconds: float) -> str | None:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat() if seconds else None


def _job(call: Call) -> Job:
    return call.services.intents.jobs.find(call.target, call.args["job"])


def _why_not(job: Job) -> str:
    return "was not made for it" if not job.attached else "has ended"


def _attached(call: Call, job: Job, line: Duplex) -> None:
    intents = call.services.intents.jobs
    over = False
    try:
        access = _begun(call, job, line)
        if access is None:
            return
        node = intents.find(call.target, job.id).observed.node
        hidden = _hidden(call, job.environment)
        stream = call.services.jobs.attach(access, node, job.id)
        call.services.jobs.start(access, node, job.id)
        say(line, ready=True)
        over = converse(line, stream, hidden)
    except errors.StackyardError as error:
        say(line, error=str(error))
    finally:
        intents.nudge(job) if over else intents.stop(job, GONE)


def _hidden(call: Call, environment: str) -> Sequence[str]:
    """Return what an environment's commands must not tell."""
    intents = call.services.intents
    return intents.releases.hidden(intents.deployments.of(call.target, environment))


def _begun(call: Call, job: Job, line: Duplex) -> ClusterAccess | None:
    """Return the cluster once the worker has made the job's container; None where that will not be."""
    deadline = time.monotonic() + BEGIN_SECONDS
    while time.monotonic() < deadline and not line.gone:
        now = call.services.intents.jobs.find(call.target, job.id)
        if now.phase is not Phase.CREATING:
            raise errors.GiveUp(now.status_reason or "the job has ended")
        access = environments.reach(call, call.services.intents.deployments.of(call.target, now.environment))
        if now.observed.node and access:
            seen = call.services.jobs.look(access, now.observed.node, job.id)
            if seen and seen.state != "created":
                raise errors.Conflict(f"somebody is attached to job {job.number} already")
            if seen:
                return access
        line.receive(LOOK_SECONDS)
    if not line.gone:
        raise errors.Unavailable(f"the job did not begin within {BEGIN_SECONDS:.0f} s; is the cluster ready?")
    return None


def _executed(call: Call, access: ClusterAccess, replica: Replica, line: Duplex) -> None:
    asked = heard(line.receive(FIRST_SECONDS))
    command = asked.get("command")
    try:
        if not isinstance(command, list) or not _is_command(command):
            raise errors.BadInput("the first message must be {'command': [...]}, a list of strings")
        terminal = asked.get("terminal") is True
        hidden = _hidden(call, environments.chosen(call))
        stream = call.services.jobs.exec(access, replica, command, terminal=terminal)
        say(line, ready=True)
        converse(line, stream, hidden)
    except errors.StackyardError as error:
        say(line, error=str(error))


def _is_command(words: list[Any]) -> bool:
    right = all(isinstance(word, str) and len(word) <= MAX_WORD and "\0" not in word for word in words)
    return right and 0 < len(words) <= MAX_WORDS and bool(words[0])


def _replica(tasks: Sequence[Replica], asked: str) -> Replica:
    """Return the replica that is meant by `web`, `web.2` or nothing; raises NotFound, telling which there are."""
    running = sorted(
        (task for task in tasks if task.state in ("running", "unhealthy", "starting")),
        key=lambda task: (task.service != "web", task.state != "running", task.service, task.slot),
    )
    found = [task for task in running if asked in ("", task.service, f"{task.service}.{task.slot}", task.id)]
    if not found:
        known = ", ".join(dict.fromkeys(f"{task.service}.{task.slot}" for task in running))
        raise errors.NotFound(f"no replica '{asked[:80]}' runs; there are: {known or 'none'}")
    return found[0]
