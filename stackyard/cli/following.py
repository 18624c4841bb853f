# SPDX-License-Identifier: Apache-2.0
"""Following an operation on a cluster: its nodes with their states as they change, and how it ended.

On a terminal the cluster's tree is drawn again and again; elsewhere each change is a line. Used by every cluster
command that waits; all of it goes to stderr.
"""

# ruff: noqa: PLC0415 -- importing rich costs as much as a whole API call, and pipes never need it

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from stackyard.cli import infra, pictures, waiting
from stackyard.cli.infra import Json
from stackyard.cli.session import Session
from stackyard.model import errors

if TYPE_CHECKING:
    from rich.console import Console, Group

WAIT_SECONDS = 3600.0
LOOK_SECONDS = 0.3
FRAMES_A_SECOND = 8


class Operation:
    """One operation on one cluster; `title` says which in words, `quiet` ones (`--json`) show nothing."""

    def __init__(self, api: Session, of: Json, title: str, *, quiet: bool = False) -> None:
        self.api = api
        self._uuid, self._name = str(of["uuid"]), str(of["name"])
        self._title = title
        self._quiet = quiet
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[str, float]] = {}
        self._told = ""
        self._drawn: tuple[Json, list[Json]] | None = None
        self._live = not quiet and sys.stderr.isatty()

    def settle(self) -> Json:
        """Return the cluster once nothing is in progress; raises with cause and cure when it failed."""
        with self._shown():
            return waiting.until(self._settled, self._title, WAIT_SECONDS, LOOK_SECONDS)

    def vanish(self) -> None:
        """Return when the cluster is gone; raises when it can't go."""
        with self._shown():
            waiting.until(self._vanished, self._title, WAIT_SECONDS, LOOK_SECONDS)

    def now(self) -> Json:
        """Return the cluster as it is, waiting for nothing."""
        return infra.cluster(self.api, self._uuid)

    def _settled(self) -> Json | None:
        found = self._look()
        if found["status"].endswith("_FAILED"):
            raise infra.failure(found)
        return found if found["status"].endswith("_COMPLETE") else None

    def _vanished(self) -> bool | None:
        try:
            found = self._look()
        except errors.NotFound:
            return True
        if found["status"] == "DELETE_FAILED":
            raise infra.failure(found)
        return True if found["status"] == "DELETE_COMPLETE" else None

    def _look(self) -> Json:
        found = infra.cluster(self.api, self._uuid)
        if not self._quiet:
            self._note(found, infra.groups(self.api, found))
        return found

    # --- telling what is seen ------------------------------------------------------------------

    def _note(self, found: Json, groups: list[Json]) -> None:
        """Remember since when each node is as it is; without a terminal, say what changed."""
        nodes = {str(node["name"]): node for node in pictures.nodes_in(groups)}
        with self._lock:
            if self._drawn is None:  # what was well before is no news
                self._seen = {name: ("ready", 0.0) for name, node in nodes.items() if node.get("state") == "ready"}
            self._drawn = (found, groups)
            for name in [name for name in self._seen if name not in nodes]:
                del self._seen[name]
                self._say(f"{name}  gone")
            for name, node in nodes.items():
                self._note_node(name, str(node.get("state")), str(node.get("reason") or ""))
        reason = found.get("status_reason") or ""
        if reason != self._told:
            self._told = reason
            self._say(reason)

    def _note_node(self, name: str, state: str, reason: str) -> None:
        if self._seen.get(name, ("", 0.0))[0] != state:
            self._seen[name] = (state, time.monotonic())
            self._say(f"{name}  {state}{f': {reason}' if reason else ''}")

    def _say(self, text: str) -> None:
        if text and not self._live and not self._quiet:
            click.echo(f"{self._seconds():7.1f} s  {text}", err=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _age(self, name: str) -> str:
        state, since = self._seen.get(name, ("", 0.0))
        if not since:
            return ""
        return f"{since - self._began if state == 'ready' else time.monotonic() - since:.1f} s"

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        """Show the operation while the block runs, and how it ended after it."""
        drawing = self._drawing() if self._live else contextlib.nullcontext()
        try:
            if not self._live and not self._quiet:
                click.echo(f"- {self._title} ...", err=True)
            with drawing:
                yield
        except KeyboardInterrupt:
            click.echo(f"\n{self._goes_on()}", err=True)
            raise
        except BaseException:
            self._end("✗")
            raise
        self._end("✓")

    def _goes_on(self) -> str:
        return f"the platform goes on with it; to look at it again: stackyard cluster show {self._name} --watch"

    def _end(self, mark: str) -> None:
        if not self._quiet:
            click.echo(f"{mark} {self._title} ({self._seconds():.1f} s)", err=True)

    # --- drawing on a terminal -----------------------------------------------------------------

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        spinner, console = Spinner("dots"), Console(stderr=True, highlight=False)

        def frame() -> Group:
            return self._frame(spinner, console)

        with Live(console=console, get_renderable=frame, refresh_per_second=FRAMES_A_SECOND, transient=True):
            yield

    def _frame(self, spinner: object, console: Console) -> Group:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        assert isinstance(spinner, Spinner)
        spinner.update(text=Text(f"{self._title}  {self._seconds():.0f} s  (Ctrl-C ends only the showing)"))
        with self._lock:
            lines = pictures.tree(*self._drawn, self._age) if self._drawn else []
        room = max(3, console.height - 2)
        return Group(spinner, *(pictures.rich(line) for line in lines[:room]))
