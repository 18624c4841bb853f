# SPDX-License-Identifier: Apache-2.0
"""A platform of the bench's own, with its own ports and names, and its command line."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import docker
import psutil

from stackyard.cli import infra

INSTANCE = "sybench"
SUBNETS = "10.183.0.0/16"
BIN = pathlib.Path(sys.executable).parent
PARTS = ("api", "identity", "registry", "router")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], Any], seconds: float = 120, pause: float = 0.02) -> Any:
    """Return what `look` finds, polled each `pause` seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(pause)
    raise TimeoutError(f"nothing within {seconds} s")


class Platform:
    """Up while the block runs."""

    def __init__(self, folder: str) -> None:
        self.folder = pathlib.Path(folder)
        self.state = self.folder / "state"
        self.ports = {part: free_port() for part in PARTS}
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STACKYARD_"))}
        clouds = {"OS_CLIENT_CONFIG_FILE": str(self.state / "clouds.yaml"), "OS_CLOUD": "stackyard"}
        self.environment = {**ours, **clouds, "STACKYARD_STATE_DIR": str(self.state)}
        self.engine = docker.from_env()

    def __enter__(self) -> Platform:
        self._lock = (pathlib.Path(tempfile.gettempdir()) / f"{INSTANCE}.lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # two at a time would measure each other, and share names
        ports = [word for part, port in self.ports.items() for word in (f"--{part}-port", str(port))]
        try:
            self.run("up", "--instance", INSTANCE, "--machines-subnets", SUBNETS, *ports)
        except SystemExit:
            self.run("down", "--purge")
            raise
        os.environ |= {name: self.environment[name] for name in self.environment if name.startswith(("OS_", "STACK"))}
        self.clusters = infra.session()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run("down", "--purge")
        self._lock.close()

    def run(self, *arguments: str) -> str:
        """Run `stackyard` as a user does; return what it prints."""
        done = subprocess.run(
            [BIN / "stackyard", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"stackyard {' '.join(arguments)} failed:\n{done.stderr}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def parts(self) -> list[dict[str, str]]:
        """Return those parts of the platform that are processes of this machine."""
        return [part for part in self.json("status") if part["runs_as"].isdigit()]

    def heads(self) -> list[psutil.Process]:
        """Return the first process of each part."""
        return [psutil.Process(int(part["runs_as"])) for part in self.parts()]

    def nodes(self) -> list[Any]:
        """Return the containers that are nodes of clusters, running or not."""
        marks = {"label": [f"stackyard.instance={INSTANCE}", "stackyard.cluster"]}
        return list(self.engine.containers.list(all=True, filters=marks, ignore_removed=True))

    def token(self) -> tuple[str, str]:
        """Return (token, project id) of the demo user, by the openstack client."""
        command = [BIN / "openstack", "token", "issue", "-f", "json"]
        issued = json.loads(subprocess.run(command, env=self.environment, capture_output=True, check=True).stdout)
        return issued["id"], issued["project_id"]
