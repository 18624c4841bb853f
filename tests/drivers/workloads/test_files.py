# SPDX-License-Identifier: Apache-2.0
"""Files of runs and jobs on a real swarm: what containers find, what engines tell, what is left when they go."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator

import pytest
import workloads_rig as rig
from workloads_world import World

from stackyard.drivers.workloads import SwarmWorkloads
from stackyard.drivers.workloads.api import NodeEngine, labelled
from stackyard.drivers.workloads.jobs import SwarmJobs
from stackyard.drivers.workloads.spec import APP
from stackyard.model.files import RunFile
from stackyard.model.ports import ClusterAccess, JobSpec, Run

pytestmark = pytest.mark.engine

PLAIN = RunFile("/etc/app/plain.conf", "a = $b {{.Node.Hostname}}\n", mode=0o440, uid=7, gid=8)
SECRET = RunFile("/run/secrets/key", "s3cret-value", secret=True, mode=0o400)
LIST = "ls -ln /etc/app/plain.conf /run/secrets/key"
SHOW = f"{LIST}; cat /etc/app/plain.conf /run/secrets/key /etc/app/here; echo; sleep 99"


@pytest.fixture
def world(swarm: tuple[ClusterAccess, str]) -> Iterator[World]:
    workloads = SwarmWorkloads(None)
    made = World(workloads, *swarm)
    yield made
    workloads.remove(made.access, made.app_id)
    workloads.close()


def here(world: World) -> RunFile:
    """Return a file that says on which node it is."""
    return RunFile(
        "/etc/app/here", "elsewhere {{", secret=True, nodes={each.name: f"on {each.name} }}" for each in named(world)}
    )


def named(world: World) -> list[rig.NodeAccess]:
    return [world.access.nodes[0]]


def run_of(world: World, *files: RunFile, release: int = 1, replicas: int = 1) -> Run:
    made = world.run(("sh", "-c", SHOW), replicas=replicas, release=release)
    return dataclasses.replace(made, files=files)


def said(world: World) -> list[str]:
    return [each.text for each in world.workloads.logs(world.access, world.app_id, follow=False, tail=None)]


def kept(world: World, kind: str) -> list[str]:
    engine = NodeEngine(world.access.managers[0])
    return [each["Spec"]["Name"] for each in engine.get(f"/{kind}", filters=labelled(f"{APP}={world.app_id}")) or []]


def expected(lines: list[str], world: World) -> None:
    assert [line.split()[:1] + line.split()[2:5] for line in lines[:2]] == [
        ["-r--r-----", "7", "8", str(len(PLAIN.text))],
        ["-r--------", "0", "0", str(len(SECRET.text))],
    ]
    assert lines[2] == PLAIN.text.strip()
    assert lines[3] in {SECRET.text + f"on {each.name} }}" for each in named(world)} | {
        SECRET.text + "elsewhere {{",
    }


def test_a_run_gets_its_files_and_no_engine_tells_what_is_secret(world: World) -> None:
    run = run_of(world, PLAIN, SECRET, here(world))
    world.start(run)
    [replica] = world.ready(run)
    world.until(lambda: len(said(world)) == 4)
    expected(said(world), world)
    assert ("on " in said(world)[3]) == (replica.node in {each.name for each in named(world)})
    told = json.dumps(NodeEngine(world.access.managers[0]).get(f"/services/{run.name}"))
    assert "s3cret-value" not in told
    assert (len(kept(world, "configs")), len(kept(world, "secrets"))) == (1, 2)


def test_scaling_keeps_what_runs_and_the_last_run_takes_its_files_with_it(world: World) -> None:
    first = run_of(world, PLAIN, SECRET)
    world.start(first)
    [before] = world.ready(first)
    world.start(dataclasses.replace(first, replicas=2))
    world.until(lambda: len(world.in_state(first, "running")) == 2)
    assert before.id in {each.id for each in world.in_state(first, "running")}
    second = run_of(world, dataclasses.replace(PLAIN, text="b = 1\n"), SECRET, release=2)
    world.start(second)
    world.start(second)
    world.ready(second)
    assert (len(kept(world, "configs")), len(kept(world, "secrets"))) == (2, 1)
    world.workloads.stop(world.access, first.name)
    assert (len(kept(world, "configs")), len(kept(world, "secrets"))) == (1, 1)
    world.workloads.stop(world.access, second.name)
    assert kept(world, "configs") + kept(world, "secrets") == []


def test_a_job_gets_them_too_and_is_whole_or_not_there(world: World) -> None:
    jobs, where = SwarmJobs(None), world.access.nodes[-1]
    run = run_of(world, PLAIN, SECRET, here(world))
    job = JobSpec(str(uuid.uuid4()), dataclasses.replace(run, service=dataclasses.replace(run.service, name="job")))
    NodeEngine(where).post(
        "/containers/create", {"Image": world.image, "Cmd": ["true"]}, name=f"making-{job.id}"
    )  # of a killed attempt
    assert jobs.look(world.access, where.name, job.id) is None
    for _ in range(2):
        jobs.create(world.access, where.name, job)
    jobs.start(world.access, where.name, job.id)
    world.until(lambda: len(jobs.tail(world.access, where.name, job.id, 9).splitlines()) == 4)
    expected(jobs.tail(world.access, where.name, job.id, 9).splitlines(), world)
    found = NodeEngine(where).get(f"/containers/job-{job.id}/json")
    assert "s3cret-value" not in json.dumps(found)
    names = [name for each in NodeEngine(where).get("/containers/json", all=1) for name in each["Names"]]
    assert not [name for name in names if name.startswith("/making-")]
    jobs.remove(world.access, where.name, job.id)
