# SPDX-License-Identifier: Apache-2.0
"""Jobs on real engines: commands that run once, their input and output, and commands in running replicas."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
import workloads_rig as rig

from stackyard.drivers.workloads.jobs import SwarmJobs
from stackyard.drivers.workloads.swarm import SwarmWorkloads
from stackyard.model import errors
from stackyard.model.applications import Mount, Service
from stackyard.model.ports import ClusterAccess, JobSpec, Run, Stream

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

Swarm = tuple[ClusterAccess, str]


@pytest.fixture(scope="module")
def workloads() -> Iterator[SwarmWorkloads]:
    made = SwarmWorkloads(None)
    yield made
    made.close()


@pytest.fixture
def app(swarm: Swarm, workloads: SwarmWorkloads) -> Iterator[str]:
    ident = str(uuid.uuid4())
    yield ident
    workloads.remove(swarm[0], ident)


def service(image: str, *words: str, name: str = "task", **more: object) -> Service:
    return Service(name, image=image, command=words, **more)  # type: ignore[arg-type]


def run_of(app: str, of: Service, environment: dict[str, str] | None = None, replicas: int = 1) -> Run:
    return Run(f"{app[:8]}-{of.name}", app, 1, of, replicas, environment or {}, "d1")


def job(app: str, of: Service, environment: dict[str, str] | None = None, **more: bool) -> JobSpec:
    return JobSpec(str(uuid.uuid4()), run_of(app, of, environment), **more)


def node(swarm: Swarm) -> str:
    return swarm[0].nodes[-1].name


def text(stream: Stream) -> tuple[bytes, bytes]:
    found = {1: b"", 2: b""}
    while piece := stream.read():
        found[piece[0]] += piece[1]
    return found[1], found[2]


def ended(jobs: SwarmJobs, swarm: Swarm, ident: str, seconds: float = 20) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = jobs.look(swarm[0], node(swarm), ident)
        if seen is not None and seen.state == "exited":
            return seen
        time.sleep(0.05)
    raise AssertionError("it goes on")


def test_it_runs_once_and_is_found_again(swarm: Swarm, app: str, workloads: SwarmWorkloads) -> None:
    access, image = swarm
    jobs, where = SwarmJobs(None), node(swarm)
    asked = job(
        app,
        service(image, "sh", "-c", "echo $WORD >> /data/it; cat /data/it; exit 3", mounts=(Mount("d", "/data"),)),
        {"WORD": "{{once}}"},
    )
    for _ in range(2):
        jobs.create(access, where, asked)
    seen = jobs.look(access, where, asked.id)
    assert seen is not None
    assert seen.state == "created"
    jobs.start(access, where, asked.id)
    seen = ended(jobs, swarm, asked.id)
    assert seen.exit_code == 3  # type: ignore[attr-defined]
    assert "exited with code 3" in seen.reason  # type: ignore[attr-defined]
    assert 0 < seen.started_at <= seen.ended_at  # type: ignore[attr-defined]
    assert jobs.tail(access, where, asked.id, 5) == "{{once}}"
    lines = list(workloads.logs(access, app, follow=False, tail=None, service=None))
    assert [(line.service, line.text) for line in lines] == [("task", "{{once}}")]
    assert workloads.runs(access, app) == []
    jobs.remove(access, where, asked.id)
    jobs.remove(access, where, asked.id)
    assert jobs.look(access, where, asked.id) is None
    assert jobs.tail(access, where, asked.id, 5) == ""


def test_what_can_t_be_started(swarm: Swarm, app: str) -> None:
    access, image = swarm
    jobs, where = SwarmJobs(None), node(swarm)
    asked = job(app, service(image, "no-such-program"))
    jobs.create(access, where, asked)
    jobs.start(access, where, asked.id)
    seen = ended(jobs, swarm, asked.id)
    assert seen.exit_code == 127  # type: ignore[attr-defined]
    assert "not found" in seen.reason  # type: ignore[attr-defined]
    with pytest.raises(errors.GiveUp, match="is not on"):
        jobs.create(access, where, job(app, service("sha256:" + "0" * 64, "true")))
    with pytest.raises(errors.GiveUp, match="node elsewhere is gone"):
        jobs.look(access, "elsewhere", asked.id)
    jobs.remove(access, where, asked.id)


def test_stopping(swarm: Swarm, app: str) -> None:
    access, image = swarm
    jobs, where = SwarmJobs(None), node(swarm)
    asked = job(app, service(image, "sleep", "600", stop_grace=1.0))
    jobs.create(access, where, asked)
    jobs.start(access, where, asked.id)
    jobs.stop(access, where, asked.id)
    jobs.stop(access, where, asked.id)
    seen = jobs.look(access, where, asked.id)
    assert seen is not None
    assert seen.state == "exited"
    jobs.remove(access, where, asked.id)


def test_input_and_output(swarm: Swarm, app: str) -> None:
    access, image = swarm
    jobs, where = SwarmJobs(None), node(swarm)
    asked = job(app, service(image, "sh", "-c", "cat; echo bad >&2; exit 7"), stdin=True)
    jobs.create(access, where, asked)
    stream = jobs.attach(access, where, asked.id)
    jobs.start(access, where, asked.id)
    data = bytes(range(256)) * 4096
    writer = threading.Thread(target=lambda: (stream.write(data), stream.end_input()))
    writer.start()
    out, err = text(stream)
    writer.join(10)
    assert out == data
    assert err == b"bad\n"
    assert stream.result()[0] == 7
    stream.close()
    jobs.remove(access, where, asked.id)


def test_a_terminal(swarm: Swarm, app: str) -> None:
    access, image = swarm
    jobs, where = SwarmJobs(None), node(swarm)
    asked = job(
        app, service(image, "sh", "-c", "read word; echo got $word $TERM; sleep 600"), terminal=True, stdin=True
    )
    jobs.create(access, where, asked)
    stream = jobs.attach(access, where, asked.id)
    jobs.start(access, where, asked.id)
    stream.resize(33, 99)
    stream.write(b"hello\n")
    said = b""
    while b"got hello xterm-256color" not in said:
        piece = stream.read()
        assert piece is not None, said
        said += piece[1]
    stream.write(b"\x03")
    assert stream.read() is not None  # ^C as the terminal shows it
    text(stream)
    assert stream.result()[0] == 130
    jobs.remove(access, where, asked.id)


def test_a_command_in_a_replica(swarm: Swarm, app: str, workloads: SwarmWorkloads) -> None:
    access, image = swarm
    jobs = SwarmJobs(None)
    run = run_of(app, service(image, "sleep", "600", name="web"))
    workloads.start(access, run)
    replica = rig.until(lambda: _running(workloads, access, app), 30)
    stream = jobs.exec(access, replica, ["sh", "-c", "cat; hostname 2>&1; exit 9"])
    stream.write(b"hi\n")
    stream.end_input()
    assert text(stream)[0].startswith(b"hi\n")
    assert stream.result()[0] == 9
    # The application's network takes jobs, too: they find its services by name.
    asked = job(app, service(image, "nslookup", "web"))
    jobs.create(access, node(swarm), asked)
    jobs.start(access, node(swarm), asked.id)
    assert ended(jobs, swarm, asked.id).exit_code == 0, jobs.tail(access, node(swarm), asked.id, 9)  # type: ignore[attr-defined]
    workloads.stop(access, run.name)
    with pytest.raises(errors.NotFound):
        jobs.exec(access, replica, ["true"])


def _running(workloads: SwarmWorkloads, access: ClusterAccess, app: str) -> object:
    return next((task for run in workloads.runs(access, app) for task in run.tasks if task.state == "running"), None)
