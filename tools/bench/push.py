# SPDX-License-Identifier: Apache-2.0
"""A push of a changed line until it is served, against `git push` to a hook with `docker build` and `docker run`.

Both sides serve the guest book with the same dependencies already in a layer, under the same load, whose failures are
counted. The floor has one replica, no check and a gap in service; so ours is measured with one replica, too, and as it
is meant to be used: two on two nodes, checked before the old ones go.
"""

from __future__ import annotations

import http.client
import json
import pathlib
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import yaml

from tools.bench.figure import Figure
from tools.bench.platform import Platform, free_port, until
from tools.load import Load

ROUNDS = 5
RATE = 200
SINGLE = "guestbook-single"
ROOT = pathlib.Path(__file__).resolve().parents[2]
HOOK = """#!/bin/sh
set -e
rm -rf {work} && git clone -q {repository} {work}
docker build -q -t sybench-floor-app {work} >/dev/null
docker rm -f sybench-floor-web >/dev/null 2>&1 || true
docker run -d --name sybench-floor-web --network sybench-floor-app -p 127.0.0.1:{port}:8000 sybench-floor-app >/dev/null
"""
DOCKERFILE = """FROM sybench-floor-deps
COPY . /app
WORKDIR /app
ENV REDIS_URL=redis://redis:6379/0
CMD ["/venv/bin/gunicorn", "--bind", "0.0.0.0:8000", "--threads", "8", "--access-logfile", "-", "guestbook:app"]
"""


def measure(platform: Platform) -> list[Figure]:
    sides = {"guestbook": guestbook(platform), SINGLE: single(platform)}
    floor = Floor(platform)
    spent: dict[str, list[float]] = {name: [] for name in (*sides, "")}
    lost = {name: Lost() for name in sides}
    try:
        floor.prepare()
        for number in range(ROUNDS):
            with Load(floor.url, "/entries", RATE) as floor_load:
                spent[""].append(floor.push(f"{number}.floor"))
            for name, (source, url) in sides.items():
                with Load(url, "/entries", RATE) as load:
                    spent[name].append(push(platform, source, url, f"{number}.ours", name))
                lost[name].add(load, floor_load)
    finally:
        floor.remove()
    return [
        Figure(f"push of a changed line → served{kind}", "s", spent[name], spent[""], lost[name].text())
        for name, kind in (("guestbook", ""), (SINGLE, ", one replica"))
    ]


def single(platform: Platform) -> tuple[pathlib.Path, str]:
    """Return the source and the address of the guest book as the floor runs it: one replica, ready when it listens."""
    source = copy(platform.folder / SINGLE)
    file = source / "compose.yaml"
    asked = yaml.safe_load(file.read_text())
    del asked["services"]["web"]["healthcheck"], asked["services"]["web"]["deploy"]
    file.write_text(yaml.safe_dump(asked))
    commit(source)
    return source, platform.json("push", str(source), "--app", SINGLE)["url"]


def guestbook(platform: Platform) -> tuple[pathlib.Path, str]:
    """Return the source and the address of an application on two nodes; made for the first that asks."""
    source = platform.folder / "guestbook"
    if not source.exists():
        platform.run("cluster", "create", "bench", "--nodes", "2")
        copy(source)
    return source, platform.json("push", str(source), "--app", "guestbook")["url"]


class Lost:
    """Requests sent and failed on both sides."""

    def __init__(self) -> None:
        self.counts = [0, 0, 0, 0]

    def add(self, ours: Load, floor: Load) -> None:
        self.counts = [
            a + b for a, b in zip(self.counts, (ours.failed, ours.total, floor.failed, floor.total), strict=True)
        ]

    def text(self) -> str:
        failed, sent, floor_failed, floor_sent = self.counts
        here = f"{failed} of {sent} requests failed at {RATE}/s"
        return f"{here}; floor: git push, docker build, docker run, one replica: {floor_failed} of {floor_sent} failed"


def copy(folder: pathlib.Path) -> pathlib.Path:
    shutil.copytree(ROOT / "examples" / "guestbook", folder, ignore=shutil.ignore_patterns("__pycache__"))
    set_version(folder, "1")
    git(folder, "init", "-q", "-b", "main")
    commit(folder)
    return folder


def set_version(folder: pathlib.Path, version: str) -> None:
    file = folder / "guestbook.py"
    file.write_text(re.sub(r'^VERSION = ".*"$', f'VERSION = "{version}"', file.read_text(), flags=re.MULTILINE))


def git(folder: pathlib.Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def commit(folder: pathlib.Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "change")


def version(url: str) -> str:
    """Return the version that answers, or nothing while none does."""
    return str(answer(url).get("version", ""))


def answer(url: str) -> dict[str, Any]:
    """Return the guest book's answer, of the router or of a replica itself; empty while there is none."""
    parts = urllib.parse.urlsplit(url)
    name = parts.hostname or ""
    address = "127.0.0.1" if name.endswith(".localhost") else name
    connection = http.client.HTTPConnection(address, parts.port or 80, timeout=5)
    try:
        connection.request("GET", "/entries", headers={"Host": parts.netloc})
        found = connection.getresponse()
        return dict(json.loads(found.read())) if found.status == 200 else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def timed(command: Callable[[], object], url: str, wanted: str) -> float:
    """Return the seconds from the start of a command, run beside us, until `wanted` is served."""
    began = time.monotonic()
    runner = threading.Thread(target=command)
    runner.start()
    until(lambda: version(url) == wanted)
    seconds = time.monotonic() - began
    runner.join()
    return seconds


def push(platform: Platform, source: pathlib.Path, url: str, new: str, app: str = "guestbook") -> float:
    set_version(source, new)
    commit(source)
    return timed(lambda: platform.run("push", str(source), "--app", app), url, new)


class Floor:
    """The same application by hand on the local Engine."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.source = platform.folder / "floor-source"
        self.bare = platform.folder / "floor.git"

    def prepare(self) -> None:
        copy(self.source)
        (self.source / "Dockerfile").write_text(DOCKERFILE)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True)
        git(self.source, "remote", "add", "floor", str(self.bare))
        work = self.platform.folder / "floor-work"
        hook = self.bare / "hooks" / "post-receive"
        hook.write_text(HOOK.format(work=work, repository=self.bare, port=self.port))
        hook.chmod(0o755)
        self._dependencies()
        subprocess.run(["docker", "network", "create", "sybench-floor-app"], check=True, capture_output=True)
        redis = self._image("redis")
        docker = ["docker", "run", "-d", "--name", "sybench-floor-redis", "--network", "sybench-floor-app"]
        subprocess.run([*docker, "--network-alias", "redis", redis], check=True, capture_output=True)
        self.push("first")

    def back(self, image: str, wanted: str) -> float:
        """Run an image that is there in place of what runs; return the seconds until it serves."""
        run = ["docker", "run", "-d", "--name", "sybench-floor-web", "--network", "sybench-floor-app"]

        def replace() -> None:
            subprocess.run(["docker", "rm", "-f", "sybench-floor-web"], check=True, capture_output=True)
            subprocess.run([*run, "-p", f"127.0.0.1:{self.port}:8000", image], check=True, capture_output=True)

        return timed(replace, self.url, wanted)

    def renew(self) -> None:
        """Install the requirements anew."""
        subprocess.run(["docker", "rm", "-fv", "sybench-floor-deps"], check=True, capture_output=True)
        self._dependencies()

    def _image(self, name: str) -> str:
        return str(
            max(self.platform.engine.images.list(f"stackyard/{name}"), key=lambda each: each.attrs["Created"]).id
        )

    def _dependencies(self) -> None:
        """Install the requirements once, with the host's certificates, as the floor's cached layer."""
        bundle = "/etc/ssl/certs/ca-certificates.crt"
        install = "python3 -m venv /venv && /venv/bin/pip install -q -r /src/requirements.txt"
        command = ["docker", "run", "--name", "sybench-floor-deps", "-u", "root", "-v", f"{bundle}:/ca.crt:ro"]
        command += [
            "-e",
            "PIP_CERT=/ca.crt",
            "-v",
            f"{self.source}:/src:ro",
            self._image("python"),
            "sh",
            "-c",
            install,
        ]
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run(
            ["docker", "commit", "sybench-floor-deps", "sybench-floor-deps"], check=True, capture_output=True
        )

    def push(self, new: str) -> float:
        set_version(self.source, new)
        commit(self.source)
        return timed(lambda: git(self.source, "push", "-q", "floor", "main"), self.url, new)

    def remove(self) -> None:
        names = [f"sybench-floor-{each}" for each in ("web", "redis", "deps")]
        subprocess.run(["docker", "rm", "-fv", *names], capture_output=True, check=False)
        subprocess.run(
            ["docker", "rmi", "-f", "sybench-floor-app", "sybench-floor-deps"], capture_output=True, check=False
        )
        subprocess.run(["docker", "network", "rm", "sybench-floor-app"], capture_output=True, check=False)
        for folder in (self.source, self.bare):
            shutil.rmtree(folder, ignore_errors=True)
