# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine of this machine: found, or installed and started where that is allowed.

Called by `stackyard up` (and `down --purge`) before anything else; knows nothing of clusters or applications.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import docker
import docker.errors
import psutil
import requests

from stackyard.drivers.machines import privileges
from stackyard.local import host
from stackyard.model import errors

Say = Callable[[str], None]

START_SECONDS = 60
STOP_SECONDS = 30
LOCK = pathlib.Path("/run/lock/stackyard-engine.lock")
SYSTEMD = pathlib.Path("/run/systemd/system")


@dataclasses.dataclass(frozen=True)
class EngineFacts:
    """What the Engine is and may do; `caps` are the capabilities to give to nodes where `privileged` is False."""

    url: str
    version: str
    storage_driver: str
    cgroup_version: str
    ipvs: bool
    privileged: bool
    caps: tuple[str, ...]
    started_by_us: bool


def ensure_engine(url: str, say: Say, state_dir: pathlib.Path) -> EngineFacts:
    """Return facts of the Engine at `url`, starting (and installing) one if none answers; raises Unavailable."""
    info = _info(url)
    if info is None:
        with _locked():
            info = _info(url) or _bring_up(url, say, state_dir)
    return _facts(url, info, state_dir)


def stop_engine_if_ours(state_dir: pathlib.Path) -> bool:
    """Stop the Engine if `ensure_engine` started it and no container runs; tell whether it is stopped."""
    marker = _folder(state_dir) / "engine.json"
    if not marker.exists():
        return False
    url = json.loads(marker.read_text())["url"]
    info = _info(url)
    if info and info["ContainersRunning"]:
        return False
    _stop(state_dir)
    shutil.rmtree(_folder(state_dir), ignore_errors=True)
    return True


def _folder(state_dir: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(state_dir) / "engine"


def _info(url: str) -> dict[str, object] | None:
    """Return what the Engine says of itself, None if nothing answers; raises Unavailable where we may not ask."""
    if url.startswith("unix://") and not pathlib.Path(url.removeprefix("unix://")).exists():
        return None
    try:
        client = docker.DockerClient(base_url=url, timeout=20)
        with contextlib.closing(client):
            return dict(client.info())
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        if "PermissionError" in repr(error) or "Permission denied" in str(error):
            raise errors.Unavailable(
                f"the Docker Engine at {url} does not let this user in: run as root, or add the user to the group"
                " 'docker' (sudo usermod -aG docker $USER) and log in again"
            ) from error
        return None


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let only one process of this machine install and start an Engine at a time."""
    if os.geteuid() != 0:
        yield
        return
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bring_up(url: str, say: Say, state_dir: pathlib.Path) -> dict[str, object]:
    _refuse_where_hopeless(url)
    host.apt_install(["docker.io", "iptables"], ["dockerd", "iptables"], say)
    folder = _folder(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    by_systemd = SYSTEMD.is_dir()
    # Written before the start: a kill in between leaves a marker without an Engine, which the next attempt starts.
    (folder / "engine.json").write_text(json.dumps({"url": url, "systemd": by_systemd}))
    say("starting the Docker Engine")
    process = None if by_systemd else _start_process(url, folder)
    if by_systemd:
        _start_unit()
    return _wait(url, process, folder / "dockerd.log")


def _refuse_where_hopeless(url: str) -> None:
    missing = []
    if not url.startswith("unix://"):
        missing.append("it is not on this machine, so it can't be started from here")
    if os.geteuid() != 0:
        missing.append("starting one needs root")
    if not shutil.which("dockerd", path=host.path()) and not shutil.which("apt-get"):
        missing.append("'dockerd' is not installed and there is no apt-get to install it with")
    if missing:
        raise errors.Unavailable(
            f"no Docker Engine answers at {url}, and {'; '.join(missing)}."
            " Start a Docker Engine (20.10 or newer) there, or name another with the option engine_url, then try again"
        )


def _start_unit() -> None:
    done = subprocess.run(["systemctl", "start", "docker.service"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise errors.Unavailable(f"systemd could not start docker.service: {done.stderr.strip()}")


def _start_process(url: str, folder: pathlib.Path) -> subprocess.Popen[bytes]:
    """Start dockerd in a session of its own, so that it outlives whoever called us."""
    pidfile = folder / "dockerd.pid"
    # A pid file that a kill left behind may by now name some other process, and dockerd would refuse to start.
    if _ours(pidfile) is None:
        pidfile.unlink(missing_ok=True)
    command = ["dockerd", f"--host={url}", f"--pidfile={pidfile}", f"--mtu={host.mtu()}"]
    with (folder / "dockerd.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=os.environ | {"PATH": host.path()},
            start_new_session=True,
        )


def _wait(url: str, process: subprocess.Popen[bytes] | None, log: pathlib.Path) -> dict[str, object]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if info := _info(url):
            return info
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.05)
    end = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "see: journalctl -u docker"
    raise errors.Unavailable(f"the Docker Engine did not start; its log ends:\n{end}")


def _ours(pidfile: pathlib.Path) -> psutil.Process | None:
    """Return the living dockerd that was started with this very pid file."""
    try:
        process = psutil.Process(int(pidfile.read_text()))
        return process if f"--pidfile={pidfile}" in process.cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


def _stop(state_dir: pathlib.Path) -> None:
    if json.loads((_folder(state_dir) / "engine.json").read_text())["systemd"]:
        subprocess.run(["systemctl", "stop", "docker.socket", "docker.service"], capture_output=True, check=False)
        return
    process = _ours(_folder(state_dir) / "dockerd.pid")
    if process is None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired as error:
        raise errors.Unavailable(f"the Docker Engine (process {process.pid}) does not stop") from error


def _facts(url: str, info: dict[str, object], state_dir: pathlib.Path) -> EngineFacts:
    local = url.startswith("unix://")
    privileged, caps = privileges.detect() if local else (True, privileges.NODE_CAPABILITIES)
    return EngineFacts(
        url=url,
        version=str(info["ServerVersion"]),
        storage_driver=str(info["Driver"]),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        ipvs=not local or host.has_ipvs(),
        privileged=privileged,
        caps=caps,
        started_by_us=(_folder(state_dir) / "engine.json").exists(),
    )
