# SPDX-License-Identifier: Apache-2.0
"""A full disk in the middle of a build, two pushes of one application at once, a push of a git URL."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from tests.platform.shell import BIN, Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

PROGRAM = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"VERSION")
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
UPLOADS = "/var/lib/docker/tmp"
"""Where a node's Engine keeps what it is sent, before it becomes a layer."""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def nodes(shell: Shell) -> Iterator[list[Any]]:
    """The nodes of a cluster, as containers of the local Engine."""
    shell.ok("cluster", "create", "trouble", "--nodes", "1")
    cluster = shell.json("cluster", "show", "trouble")
    yield docker.from_env().containers.list(filters={"label": f"stackyard.cluster={cluster['uuid']}"})
    shell.run("stackyard", "destroy", "trouble")
    shell.ok("cluster", "delete", "trouble", "--yes")


def write(folder: pathlib.Path, version: str) -> pathlib.Path:
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(PROGRAM.replace("VERSION", version))
    (folder / "requirements.txt").write_text("")
    return folder


def push(shell: Shell, folder: pathlib.Path, *more: str) -> subprocess.CompletedProcess[str]:
    return shell.run("stackyard", "push", str(folder), "--app", "trouble", "--cluster", "trouble", *more)


def served(shell: Shell) -> str:
    url = next(app["app_url"] for app in shell.json("apps") if app["name"] == "trouble")
    host, port = url.removeprefix("http://").rsplit(":", 1)
    command = ["curl", "-s", "-H", f"Host: {host}", f"http://127.0.0.1:{port}/"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_full_disk_fails_the_build_and_nothing_else(shell: Shell, nodes: list[Any], tmp_path: pathlib.Path) -> None:
    assert push(shell, write(tmp_path, "one")).returncode == 0
    for node in nodes:
        assert node.exec_run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", UPLOADS]).exit_code == 0
    try:
        write(tmp_path, "two")
        (tmp_path / "large.bin").write_bytes(os.urandom(4 << 20))
        failed = push(shell, tmp_path)
    finally:
        for node in nodes:
            node.exec_run(["umount", UPLOADS])
    assert failed.returncode == 1
    assert "no space left" in failed.stderr.lower() or "disk is full" in failed.stderr.lower()
    assert "release 1 goes on serving" in failed.stderr
    assert served(shell) == "one"
    assert push(shell, tmp_path).returncode == 0
    assert served(shell) == "two"


def test_two_pushes_at_once_come_one_after_the_other(shell: Shell, nodes: list[Any], tmp_path: pathlib.Path) -> None:
    folders = [write(tmp_path / name, name) for name in ("left", "right")]
    before = len(shell.json("builds", "trouble"))
    pushes = [
        subprocess.Popen(
            [BIN / "stackyard", "push", str(folder), "--app", "trouble", "--detach"], env=shell.full_environment()
        )
        for folder in folders
    ]
    assert [each.wait() for each in pushes] == [0, 0]
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        builds = shell.json("builds", "trouble")[: -before or None]
        if [each["status"] for each in builds] == ["DEPLOYMENT_COMPLETE"] * 2:
            break
        time.sleep(0.5)
    newest, older = builds
    assert newest["release"] == older["release"] + 1
    images = {each["number"]: each["images"]["web"] for each in shell.json("releases", "trouble")}
    assert images[newest["release"]] != images[older["release"]]
    text = shell.ok("events", "trouble")
    done = text.index(f"release {older['release']} serves")
    assert done < text.index(f"release {newest['release']} asked for"), "the second began before the first was done"


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Iterator[str]:
    """A git server on loopback with one repository; gives its URL."""
    work = write(tmp_path / "served", "from git")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*identity, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", str(work), *words], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = [f"--base-path={tmp_path}", f"--port={port}", "--listen=127.0.0.1", "--export-all", "--reuseaddr"]
    server = subprocess.Popen(["git", "daemon", *options])
    yield f"git://127.0.0.1:{port}/served/.git"
    server.terminate()
    server.wait()


def test_a_git_url_is_fetched_by_the_platform(shell: Shell, nodes: list[Any], repository: str) -> None:
    words = ["push", repository, "--app", "trouble", "--revision", "main"]
    result = json.loads(shell.ok(*words, "--json"))
    assert len(result["revision"]) == 40
    assert served(shell) == "from git"
    assert "no-such-branch" in shell.refused(*words[:-1], "no-such-branch")
    assert served(shell) == "from git"
