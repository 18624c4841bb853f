# SPDX-License-Identifier: Apache-2.0
"""What will be done to make an image of a source tree, and why: plain data. Made by `packs`, carried out by `executor`.

Reading a plan runs nothing; `as_dict` is what people and the API are shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

APP = "/app"
PORT = 8000
VOLUME = "/run/stackyard-build"
"""Where a build finds the host's settings and leaves its result; a volume, so that no image contains it."""
CACHE = "/cache"
"""What tools keep between builds of one application (downloads, compiled objects); a volume too."""
PROJECT = f"{VOLUME}/project"


@dataclasses.dataclass(frozen=True)
class Runtime:
    """The language's version that will run, and the file and line that said so."""

    name: str
    version: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Process:
    """A command line for the shell under a name, and where it comes from."""

    name: str
    command: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Cure:
    """What to tell when a failing tool's output holds a pattern (a regular expression)."""

    pattern: str
    advice: str


@dataclasses.dataclass(frozen=True)
class Step:
    """A shell command run by `tool` in `folder` of a limited container of the image `stack`.

    `files` are what it is given and what its result depends on; with `whole_tree` that is every file of the tree.
    `produces` are absolute paths that are kept of it, but for `leaves`. Where it can't do without a compiler and
    fails for want of one, it is run again in `compiler`.
    """

    subject: str
    tool: str
    command: str
    stack: str
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    whole_tree: bool = False
    folder: str = APP
    produces: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    compiler: str = ""
    verb: str = "installed"
    cures: tuple[Cure, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a language pack makes an image, bottom to top: `run_stack`, then what `install` made, then the files.

    `tools` is installed beside that for `build` only. With `build` the image gets what it produced; the source
    files too where `tree` says so, without what `ignores` names (in the words of .dockerignore).
    `processes` is empty where nothing tells how to start it: `unstarted` says what was looked for.
    """

    pack: str
    runtime: Runtime
    found: str
    run_stack: str
    install: Step | None = None
    tools: Step | None = None
    build: Step | None = None
    tree: bool = True
    ignores: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    processes: tuple[Process, ...] = ()
    unstarted: str = ""
    notes: tuple[str, ...] = ()

    def steps(self) -> tuple[Step, ...]:
        """Return what will be run, in order."""
        return tuple(step for step in (self.install, self.tools, self.build) if step)

    def process(self, name: str) -> Process | None:
        """Return the process of this name."""
        return next((process for process in self.processes if process.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types; files are named, not quoted."""
        shown = dataclasses.asdict(self)
        for name in ("install", "tools", "build"):
            step = shown[name]
            if step:
                step["files"] = sorted(step["files"])
                del step["cures"]
        return {**shown, "port": PORT if self.process("web") else None}
