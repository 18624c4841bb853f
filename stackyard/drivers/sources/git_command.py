# SPDX-License-Identifier: Apache-2.0
"""The git program on a bare repository, without the machine's configuration, keys, hooks and filters.

Called by `git`, `trees` and `repositories`. Whatever a repository holds is data here: nothing of it is run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from stackyard.model import errors

MAX_FILE_KIB = 4 * 1024 * 1024
_PASSED_ON = (
    *("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
# The machine's own keys, agents and configuration must not open doors for a tenant.
SSH = (
    "ssh -F /dev/null -oBatchMode=yes -oConnectTimeout=15 -oStrictHostKeyChecking=accept-new"
    " -oUserKnownHostsFile=/dev/null -oIdentityAgent=none -oIdentityFile=/dev/null -oLogLevel=ERROR"
)
_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "gc.auto=0"),
    *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30", "-c", "advice.detachedHead=false"),
)


class GitFailed(Exception):
    """What git said when it failed."""

    def __init__(self, output: str, arguments: Sequence[str]) -> None:
        super().__init__(output)
        self.output = output.encode(errors="replace").decode()
        self.arguments = arguments

    def last_line(self) -> str:
        """Return the line that tells most."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        telling = [line for line in lines if line.lower().startswith(("fatal:", "error:", "remote:", "ssh:"))]
        return (telling or lines or ["git said nothing"])[-1]


def environment(home: pathlib.Path, transports: Sequence[str] = ()) -> dict[str, str]:
    """Return git's whole environment; only these transports are allowed, none unless named."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": ":".join(transports),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": SSH,
    }


def limited(command: Sequence[str]) -> list[str]:
    """Return the command with a limit on the size of files: no repository fills the disk by one pack."""
    return ["sh", "-c", f'ulimit -f {MAX_FILE_KIB}; exec "$@"', "sh", *command]


@dataclasses.dataclass(frozen=True)
class Git:
    """A bare repository; `extra` is added to the environment.

    Whatever runs at `deadline` (monotonic, `seconds` after its errand's begin) is ended.
    """

    git_dir: pathlib.Path
    home: pathlib.Path
    deadline: float
    seconds: float
    transports: tuple[str, ...] = ()
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def run(self, *arguments: str, settings: Sequence[str] = (), extra: Mapping[str, str] | None = None) -> str:
        """Return what git prints; raises GitFailed, or GiveUp when it takes too long."""
        process = subprocess.Popen(
            limited(self.command(*settings, *arguments)),
            env={**self.env(), **(extra or {})},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        )
        try:
            output, complaint = process.communicate(timeout=max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise errors.GiveUp(
                f"git did not finish within {self.seconds:g} seconds; is the repository very large?"
            ) from None
        finally:
            end(process)
        if process.returncode:
            raise GitFailed(complaint, arguments)
        return output

    def command(self, *arguments: str) -> list[str]:
        """Return git's command line for this repository."""
        return ["git", *_SETTINGS, f"--git-dir={self.git_dir}", *arguments]

    def env(self) -> dict[str, str]:
        """Return the environment that it runs in."""
        return {**environment(self.home, self.transports), **self.extra}


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Kill git with all its helpers; harmless when they have ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
