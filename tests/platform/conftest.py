# SPDX-License-Identifier: Apache-2.0
"""A one-machine platform for the tests, with a state folder, ports and names of its own, beside any other one.

Its names follow from this checkout, so that what a killed run left is found and removed by the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import docker
import pytest

from stackyard.local import images
from tests.platform.clusters import NEXT_IMAGE, Api, Host
from tests.platform.killing import Killer
from tests.platform.shell import Shell

RECIPES = pathlib.Path(__file__).with_name("images")
OWN_IMAGES = (NEXT_IMAGE, "sytest-busybox")
ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = f"sytest-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]}"
SUBNETS = "10.182.0.0/16"
LEASE_SECONDS = "3"


@pytest.fixture(scope="session")
def platform() -> Iterator[dict[str, str]]:
    """Bring a platform up; gives the environment variables that lead to it."""
    folder = pathlib.Path(tempfile.gettempdir()) / NAME
    environment = {"STACKYARD_STATE_DIR": str(folder), "OS_CLIENT_CONFIG_FILE": str(folder / "clouds.yaml")}
    shell = Shell({**environment, "OS_CLOUD": "stackyard"})
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shell.ok("down", "--purge")
        up(shell)
        build_images()
        yield shell.environment
        shell.ok("down", "--purge")


def up(shell: Shell, instance: str = NAME) -> None:
    """Run `stackyard up` on free ports; shows its progress, which takes a while where images are still to be built."""
    options = {
        "instance": instance,
        "machines-subnets": SUBNETS,
        "machines-images": f"node,{NEXT_IMAGE}",
        "machines-max-clusters-per-project": "30",
        "worker-lease-seconds": LEASE_SECONDS,
        "apps-ready-seconds": "30",
        **{
            f"{part}-port": str(port)
            for part, port in free_ports("api", "identity", "registry", "router", "router-tls").items()
        },
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = [pathlib.Path(sys.executable).with_name("stackyard"), "up", *words]
    done = subprocess.run(
        command, env=shell.full_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"stackyard up failed:\n{done.stdout}")


def build_images() -> None:
    """Build the images of the tests' own, beside the product's."""
    with tempfile.TemporaryDirectory(prefix="sytest-images-") as folder:
        for name in ("base", "node"):
            shutil.copytree(images.FOLDER / name, pathlib.Path(folder) / name)
        shutil.copytree(RECIPES, folder, dirs_exist_ok=True)
        images.build(docker.from_env(timeout=300), OWN_IMAGES, lambda name, line: None, pathlib.Path(folder))


@pytest.fixture(scope="session")
def api(platform: dict[str, str]) -> Api:
    return Api(platform)


@pytest.fixture(scope="session")
def other(platform: dict[str, str]) -> Api:
    """Another project's user."""
    return Api(platform, "stackyard-other")


@pytest.fixture(scope="module")
def killer(platform: dict[str, str]) -> Iterator[Killer]:
    killer = Killer(platform["STACKYARD_STATE_DIR"])
    yield killer
    killer.forget()


@pytest.fixture(scope="session")
def host(platform: dict[str, str]) -> Host:
    return Host(NAME)


def free_ports(*parts: str) -> dict[str, int]:
    """Return a free loopback port for each part."""
    sockets = {part: socket.socket() for part in parts}
    for each in sockets.values():
        each.bind(("127.0.0.1", 0))
    ports = {part: each.getsockname()[1] for part, each in sockets.items()}
    for each in sockets.values():
        each.close()
    return ports
