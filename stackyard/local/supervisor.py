# SPDX-License-Identifier: Apache-2.0
"""Supervision of the platform's processes by supervisord: described, started, looked at, stopped.

Called by `up`, `down` and `status`. One supervisord for each state folder; what it runs carries a marker in its
environment, so that processes are found even when supervisord itself was killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from stackyard.local.state import State, write
from stackyard.model import errors

MARKER = "STACKYARD_PLATFORM_PROCESS"
START_SECONDS = 10
STOP_SECONDS = 20
LOOPBACK = ("localhost", "127.0.0.1", "::1", ".localhost")
EXITED = re.compile(r" exited: (\w+) \(")
BEGUN = re.compile(r"supervisord started with pid")

HEAD = """\
[unix_http_server]
file = {run}/supervisor.sock
chmod = 0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
pidfile = {run}/supervisord.pid
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
childlogdir = {logs}
directory = {folder}
umask = 077
"""
PROGRAM = """\
[program:{name}]
command = {command}
autorestart = true
startsecs = 1
startretries = 10
stopwaitsecs = 12
stopasgroup = {group}
killasgroup = true
redirect_stderr = true
stdout_logfile = {logs}/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


@dataclasses.dataclass(frozen=True)
class Program:
    """A process to keep running; `inputs` is what it reads as it starts, whose change makes a restart necessary."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    inputs: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Process:
    """A program as it is: `state` in supervisord's words (RUNNING, STARTING, BACKOFF, FATAL, ...)."""

    name: str
    state: str
    pid: int
    restarts: int
    reason: str = ""


class Supervisor:
    """The supervisord of one state folder."""

    def __init__(self, state: State) -> None:
        self._state = state

    def runs(self) -> bool:
        """Tell whether supervisord answers."""
        with contextlib.suppress(OSError, xmlrpc.client.Error, EOFError):
            return bool(self._call("getPID"))
        return False

    def processes(self) -> list[Process]:
        """Return the supervised processes; empty when there is no supervisord."""
        try:
            found: Any = self._call("getAllProcessInfo")
        except (OSError, xmlrpc.client.Error, EOFError):
            return []
        deaths = self._deaths()
        return [
            Process(each["name"], each["statename"], each["pid"], deaths.get(each["name"], 0), each["spawnerr"])
            for each in found
        ]

    def ensure(self, programs: Sequence[Program]) -> None:
        """Have exactly these programs started, and those anew that changed."""
        write(self._state / "supervisord.conf", self._render(programs))
        if not self.runs():
            self.stop()
            self._start()
            return
        answer: Any = self._call("reloadConfig")
        added, changed, removed = answer[0]
        for name in [*changed, *removed]:
            with contextlib.suppress(xmlrpc.client.Fault):  # it does not run
                self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)
        self._revive()

    def stop(self) -> None:
        """Stop supervisord with all that it runs, and whatever a killed one left over."""
        with contextlib.suppress(OSError, xmlrpc.client.Error, EOFError):
            self._call("shutdown")
            _wait_gone(self._marked(), STOP_SECONDS)
        for process in self._marked():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _wait_gone(self._marked(), 5)
        for process in self._marked():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_gone(self._marked(), 5)
        for name in ("supervisor.sock", "supervisord.pid"):
            (self._state / "run" / name).unlink(missing_ok=True)

    def end_orphans(self) -> bool:
        """End what a killed supervisord left over, if one was; tell whether."""
        if self.runs() or not self._marked():
            return False
        self.stop()
        return True

    def log_end(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a program's log."""
        path = self._state / "logs" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"

    def _call(self, method: str, *arguments: object) -> object:
        url = f"unix://{self._state / 'run/supervisor.sock'}"
        with xmlrpc.client.ServerProxy("http://127.0.0.1", SupervisorTransport(None, None, url)) as server:
            return getattr(server.supervisor, method)(*arguments)

    def _render(self, programs: Sequence[Program]) -> str:
        folder, run, logs = self._state.folder, self._state / "run", self._state / "logs"
        head = HEAD.format(folder=folder, run=run, logs=logs)
        return head + "".join(_program(program, logs) for program in programs)

    def _start(self) -> None:
        environment = clean_environment() | marker(self._state)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._state / "supervisord.conf")]
        done = subprocess.run(
            command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        deadline = time.monotonic() + START_SECONDS
        while done.returncode == 0 and time.monotonic() < deadline:
            if self.runs():
                return
            time.sleep(0.05)
        raise errors.Unavailable(f"supervisord did not start: {done.stdout}{done.stderr}{self.log_end('supervisord')}")

    def _revive(self) -> None:
        """Start what supervisord has given up on."""
        for process in self.processes():
            if process.state in ("FATAL", "EXITED", "STOPPED", "UNKNOWN"):
                with contextlib.suppress(xmlrpc.client.Fault):
                    self._call("startProcess", process.name, False)

    def _deaths(self) -> dict[str, int]:
        """Count how often each program ended by itself since supervisord started, from supervisord's log."""
        path = self._state / "logs" / "supervisord.log"
        counts: dict[str, int] = {}
        for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
            if BEGUN.search(line):
                counts.clear()
            elif match := EXITED.search(line):
                counts[match[1]] = counts.get(match[1], 0) + 1
        return counts

    def _marked(self) -> list[psutil.Process]:
        return list(_with_environment(*next(iter(marker(self._state).items()))))


def _program(program: Program, logs: pathlib.Path) -> str:
    command = " ".join(_quoted(word) for word in program.command)
    # Children of the worker end by its own hand: it gives each the time to finish what it does.
    text = PROGRAM.format(name=program.name, command=command, logs=logs, group="false")
    digest = hashlib.sha256(program.inputs.encode()).hexdigest()[:16]
    environment = {**program.environment, "STACKYARD_INPUTS": digest}
    pairs = ",".join(f'{key}="{_escaped(value)}"' for key, value in environment.items())
    return f"{text}environment = {pairs}\n"


def _escaped(word: str) -> str:
    return word.replace("%", "%%").replace('"', '\\"')


def _quoted(word: str) -> str:
    return f'"{_escaped(word)}"'


def marker(state: State) -> dict[str, str]:
    """Return the environment variable by which the platform's processes are found."""
    return {MARKER: str(state.folder)}


def clean_environment() -> dict[str, str]:
    """Return our environment without the caller's clouds, and with proxies for what is beyond this machine only."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    around = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    direct = ",".join([*filter(None, [around]), *LOOPBACK])
    return environment | {
        "no_proxy": direct,
        "NO_PROXY": direct,
        "PYTHONUNBUFFERED": "1",
        "SPT_NOENV": "1",  # else setproctitle overwrites the environment that we find processes by
        "MALLOC_ARENA_MAX": "2",  # many threads with an arena each would hold memory that they never use
    }


def _with_environment(key: str, value: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(key) == value and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _wait_gone(processes: list[psutil.Process], seconds: float) -> None:
    """Wait for the processes to end; being a zombie of somebody else's counts."""
    deadline = time.monotonic() + seconds
    while any(_alive(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
