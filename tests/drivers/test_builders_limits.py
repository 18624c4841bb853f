# SPDX-License-Identifier: Apache-2.0
"""Builds that take all they can get, and trees that nobody expects: limits hold, and the reason is told."""

import os
import pathlib
import time
from collections.abc import Iterator

import builders_rig
import docker
import loopback_registry
import pytest
from builders_rig import Bench, client

from stackyard.drivers.builders import Limits, context
from stackyard.model import errors
from stackyard.model.applications import BuildSpec, Service

pytestmark = pytest.mark.engine

APP = "sytestb3-0000"
BOMB = """
import os, time
count = 0
try:
    while count < 5000:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        count += 1
except OSError as error:
    raise SystemExit(f"{count} processes, then: {error}")
"""
HUGE = "parts = []\nwhile True:\n    parts.append(bytearray(64 * 1024 * 1024))\n"


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return client()


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    with builders_rig.registry(engine, "sytest-builders-limits-registry", APP) as running:
        yield running


@pytest.fixture
def bench(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry, engine: docker.DockerClient) -> Bench:
    return Bench(tmp_path, registry, engine, APP)


def pack(bench: Bench, setup: str) -> None:
    bench.write(requirements_txt=".\n", setup_py=setup, app_py="")


def dockerfile(bench: Bench, script: str) -> Service:
    bench.write(Dockerfile="FROM sytest-builders-from:1\nCOPY run.py .\nRUN python3 run.py\n", run_py=script)
    return Service("web", build=BuildSpec(dockerfile="Dockerfile"))


def test_a_fork_bomb_while_installing(bench: Bench) -> None:
    pack(bench, BOMB)
    with pytest.raises(errors.GiveUp, match=r"(?s)pip ended with.*processes, then: .*temporarily unavailable"):
        bench.build(limits=Limits(pids=64))


def test_a_fork_bomb_in_a_dockerfile(bench: Bench) -> None:
    with pytest.raises(errors.GiveUp, match=r"(?s)non-zero code.*processes, then: .*temporarily unavailable"):
        bench.build(dockerfile(bench, BOMB), Limits(pids=64, seconds=60))


def test_memory_without_end_while_installing(bench: Bench) -> None:
    pack(bench, HUGE)
    with pytest.raises(errors.GiveUp, match="ran out of the 256 MiB of memory"):
        bench.build(limits=Limits(memory_bytes=256 * 1024**2))


def test_memory_without_end_in_a_dockerfile(bench: Bench) -> None:
    with pytest.raises(errors.GiveUp, match="more memory than a build may use"):
        bench.build(dockerfile(bench, HUGE), Limits(memory_bytes=256 * 1024**2))


@pytest.mark.parametrize("kind", ["pack", "dockerfile"])
def test_output_without_end(bench: Bench, kind: str) -> None:
    script = "import sys\nwhile True:\n    sys.stderr.write('y' * 4000 + '\\n')\n"
    service = Service("web", build=BuildSpec())
    if kind == "pack":
        pack(bench, "import subprocess, os\nos.execvp('sh', ['sh', '-c', 'yes > /proc/1/fd/1'])\n")
    else:
        service = dockerfile(bench, script)
    with pytest.raises(errors.GiveUp, match="was stopped; make it say less"):
        bench.build(service, Limits(output=100_000, seconds=240))
    assert len(bench.said()) < 200_000
    labelled = {"label": f"stackyard.build={APP}"}
    assert bench.engine.containers.list(all=True, filters=labelled) == []


@pytest.mark.parametrize("kind", ["pack", "dockerfile"])
def test_what_nobody_wants_any_more_is_broken_off(bench: Bench, kind: str) -> None:
    bench.unwanted = lambda: "it sleeps" in bench.said()
    service = None
    if kind == "pack":
        pack(bench, "import subprocess\nsubprocess.run('echo it sleeps > /proc/1/fd/1; sleep 600', shell=True)\n")
    else:
        service = dockerfile(bench, "import time\nprint('it sleeps', flush=True)\ntime.sleep(600)\n")
    with pytest.raises(errors.GiveUp, match="broken off, since what it is for is being removed"):
        bench.build(service, Limits(seconds=240))
    assert bench.engine.containers.list(all=True, filters={"label": f"stackyard.build={APP}"}) == []


def test_odd_names_of_files_reach_the_application(bench: Bench) -> None:
    names = [
        b"with space",
        b"with\nnewline",
        b"caf\xc3\xa9",
        b"latin-\xe9",
        b"-dash",
        b"quo'te\"",
        b"star*",
        b"a" * 250,
    ]
    for name in names:
        (pathlib.Path(os.fsdecode(os.fsencode(bench.folder) + b"/" + name))).write_bytes(b"x")
    bench.write(app_py="import os; print(sorted(os.listdir(b'.')))")
    found = bench.run(bench.push())
    assert [name for name in names if repr(name) not in found] == []


def test_what_is_no_plain_file_is_refused(bench: Bench) -> None:
    bench.write(app_py="")
    os.mkfifo(bench.folder / "pipe")
    with pytest.raises(errors.BadInput, match="'pipe' is no plain file; leave it out"):
        bench.build()


def test_a_tree_with_many_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write(app_py="import os; print(sum(len(files) for _, _, files in os.walk('.')))")
    for number in range(20_000):
        path = bench.folder / f"d{number // 1000}" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    started = time.monotonic()
    assert bench.run(bench.push()) == "20001\n"
    print(f"\n20,000 files: {time.monotonic() - started:.1f} s")
    monkeypatch.setattr(context, "MAX_FILES", 10_000)
    with pytest.raises(errors.BadInput, match="has 20021 files and folders, 10000 are allowed"):
        bench.build()


def test_a_file_that_is_too_large(bench: Bench) -> None:
    bench.write(app_py="")
    with (bench.folder / "film.mp4").open("wb") as file:
        file.truncate(3 * 1024**3)  # sparse
    with pytest.raises(errors.BadInput, match=r"has 3072 MiB, 2048 are allowed; the largest file is 'film\.mp4'"):
        bench.build()
    (bench.folder / ".dockerignore").write_text("*.mp4\n")
    bench.build()
