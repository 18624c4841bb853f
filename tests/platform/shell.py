# SPDX-License-Identifier: Apache-2.0
"""A user's shell on the platform under test: commands, what they print, and how they end."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

BIN = pathlib.Path(sys.executable).parent


class Shell:
    """Runs commands as a user of the platform whose environment variables are given, without a terminal."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def full_environment(self, cloud: str = "") -> dict[str, str]:
        """Return the environment of a command; `cloud` is another one of clouds.yaml."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "STACKYARD_"))}
        # A login shell sets SHELL, and `coe cluster config` can't do without; continuous integration has none.
        return {"SHELL": "/bin/sh", **ours, **self.environment, **({"OS_CLOUD": cloud} if cloud else {})}

    def run(self, *arguments: str, cloud: str = "", timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a program of the virtual environment."""
        return subprocess.run(
            [BIN / arguments[0], *arguments[1:]],
            env=self.full_environment(cloud),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def ok(self, *arguments: str, **options: Any) -> str:
        """Run `stackyard`, and return stdout; the test fails with stderr when the exit code is not 0."""
        done = self.run("stackyard", *arguments, **options)
        assert done.returncode == 0, f"stackyard {' '.join(arguments)}\n{done.stderr}\n{done.stdout}"
        return done.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """Run `stackyard … --json`, and return what it prints."""
        return json.loads(self.ok(*arguments, "--json", **options))

    def refused(self, *arguments: str, **options: Any) -> str:
        """Run `stackyard`, and return stderr; the test fails unless it says why it refuses and ends with 1."""
        done = self.run("stackyard", *arguments, **options)
        assert done.returncode == 1, f"stackyard {' '.join(arguments)}\n{done.stderr}\n{done.stdout}"
        assert "Traceback" not in done.stderr
        assert "error: " in done.stderr
        return done.stderr
