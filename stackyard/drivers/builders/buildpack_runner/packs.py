# SPDX-License-Identifier: Apache-2.0
"""One buildpack, and calling its programs. Called by `detecting` and `build`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
from collections.abc import Mapping

from .files import Failure, write

VOLUME = pathlib.Path("/run/stackyard-build")
WORK = VOLUME / "buildpack-work"
APP = pathlib.Path("/app")


@dataclasses.dataclass(frozen=True)
class Pack:
    """One buildpack: where it lies, which API it speaks (heroku, cnb), what it calls itself."""

    folder: pathlib.Path
    kind: str
    id: str
    clear_env: bool = False

    @property
    def escaped(self) -> str:
        """Return its id as a name of a folder."""
        return self.id.replace("/", "_")


class Surroundings:
    """What buildpacks find: the environment as it is by now, and the platform's folder with the user's variables."""

    def __init__(self, user: Mapping[str, str], stack: Mapping[str, str]) -> None:
        """`user` are variables that the application's author gave to the build, `stack` says where it runs."""
        self.user = dict(user)
        self.environment = {**os.environ, **stack}
        self.platform = WORK / "platform"

    def prepare(self) -> None:
        """Write the user's variables where buildpacks read them."""
        (self.platform / "env").mkdir(parents=True, exist_ok=True)
        for name, value in self.user.items():
            write(self.platform / "env" / name, value)

    def call(self, pack: Pack, program: str, *arguments: str, **more: str) -> int:
        """Run a program of a buildpack in the application's folder and return its status; raises Failure."""
        given = {} if pack.clear_env or pack.kind == "heroku" else self.user
        environment = {**self.environment, **given, **more, "CNB_BUILDPACK_DIR": str(pack.folder)}
        path = pack.folder / "bin" / program
        try:
            return subprocess.run([str(path), *arguments], cwd=APP, env=environment, check=False).returncode
        except OSError as error:
            raise Failure(f"bin/{program} of buildpack {pack.id} can't be run: {error.strerror}") from None

    def output(self, *words: str) -> tuple[int, str]:
        """Run a program in the application's folder and return its status and what it wrote."""
        done = subprocess.run(words, cwd=APP, env=self.environment, stdout=subprocess.PIPE, check=False)
        return done.returncode, done.stdout.decode(errors="replace")
