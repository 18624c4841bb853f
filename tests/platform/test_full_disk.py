# SPDX-License-Identifier: Apache-2.0
"""The disk with the platform's state runs full and gets room again: errors in words meanwhile, and nothing lost.

What the nodes store is on the Engine's disk, which can't be filled here without harm to others.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator

import docker.errors
import pytest

from tests.platform import conftest
from tests.platform.clusters import Api, Away, Host, until
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

INSTANCE = f"{conftest.NAME}-disk"
SIZE = "320m"
"""What the platform needs with its images in the registry, and some room."""


@pytest.fixture(scope="module")
def disk() -> Iterator[pathlib.Path]:
    """A small file system in memory."""
    folder = pathlib.Path(tempfile.gettempdir()) / INSTANCE
    shell = Shell({"STACKYARD_STATE_DIR": str(folder / "state")})
    folder.mkdir(exist_ok=True)
    shell.run("stackyard", "down", "--purge")
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system of its own needs the right to mount one (root)")
    yield folder
    shell.ok("down", "--purge")
    subprocess.run(["umount", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture(scope="module")
def shell(disk: pathlib.Path) -> Shell:
    state = disk / "state"
    clouds = {"OS_CLIENT_CONFIG_FILE": str(state / "clouds.yaml"), "OS_CLOUD": "stackyard"}
    made = Shell({"STACKYARD_STATE_DIR": str(state), **clouds})
    conftest.build_images()
    conftest.up(made, INSTANCE)
    return made


@contextlib.contextmanager
def full(disk: pathlib.Path) -> Iterator[None]:
    """Leave not one byte while the block runs, not even of what is given back meanwhile."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        filler.unlink()


def test_a_full_disk_is_told_and_got_over(disk: pathlib.Path, shell: Shell, tmp_path: pathlib.Path) -> None:
    api, host = Api(shell.environment), Host(INSTANCE)
    first = api.made("before", nodes=1)
    template = api.template("sytest")
    known = api.call("GET", "/clusters")["clusters"]
    with full(disk):
        for _ in range(3):
            with pytest.raises(Away) as refusal:
                api.create("never", cluster_template_id=template)
            (error,) = json.loads(str(refusal.value))["errors"]
            assert error["status"] in (503, 507)
            assert "full" in error["detail"]
            assert "Traceback" not in error["detail"]
        with pytest.raises(Away):
            api.resize(first, 2)
        assert [each["uuid"] for each in api.call("GET", "/clusters")["clusters"]] == [first]
        (tmp_path / "compose.yaml").write_text('services: {web: {image: "redis:7"}}\n')
        said = shell.refused("push", str(tmp_path), "--app", "never", "--cluster", "before")
        assert "full" in said or "space" in said, said
        (worker,) = host.nodes(first, "worker")
        worker.kill()
        time.sleep(10)
    until(lambda: shell.run("stackyard", "status").returncode == 0)
    until(lambda: host.is_whole(first, 1, 1) and api.healthy(first))
    now = api.call("GET", "/clusters")["clusters"]
    assert [each["uuid"] for each in now] == [each["uuid"] for each in known]
    second = api.made("after", nodes=0)
    path = disk / "state/stackyard.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    traces = (disk / "state/logs/api.log").read_text(errors="replace").count("Traceback")
    assert traces == 0, "the API took it for an error of its own"
    api.remove(first, second)
    with contextlib.suppress(docker.errors.NotFound):
        assert host.nodes(first) == host.nodes(second) == []
