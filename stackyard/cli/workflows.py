# SPDX-License-Identifier: Apache-2.0
"""Pushes while they happen: their output line by line, their phases with seconds. Called by `push` and `builds`."""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from stackyard.cli import output, waiting
from stackyard.cli.session import Session, quote
from stackyard.model import errors
from stackyard.model.builds import PHASES, Step

CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
STEPS = tuple(step.value for step in Step)
NAMES = {"fetch": "receive"}
ENDED = ("DEPLOYMENT_COMPLETE", "ERROR")
LOOK_SECONDS = 0.4
PUSH_SECONDS = 3600.0

Json = dict[str, Any]


class Text:
    """The output of a push as it grows, line by line, picked up again where a connection broke."""

    def __init__(self, session: Session, path: str, tell: Callable[[str], None]) -> None:
        self._session = session
        self._path = path
        self._tell = tell
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending, self._offset = "", 0

    def read(self, *, follow: bool) -> None:
        """Tell what is new; with `follow`, until the push has ended."""
        for piece in self._session.stream(f"{self._path}/output", follow=int(follow), offset=self._offset):
            self._offset += len(piece)
            *lines, self._pending = (self._pending + self._decoder.decode(piece)).split("\n")
            for line in lines:
                self._line(line)

    def finish(self) -> None:
        """Tell a last line that has no end."""
        if self._pending:
            self._line(self._pending)
            self._pending = ""

    def until_ended(self, title: str = "the push") -> Json:
        """Return the workflow once it has ended, all its output told."""

        def look() -> Json | None:
            self.read(follow=True)
            workflow: Json = self._session.get(self._path)
            return workflow if workflow["status"] in ENDED else None

        ended = waiting.until(look, title, PUSH_SECONDS)
        self.finish()
        return ended

    def _line(self, line: str) -> None:
        self._tell(CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]))


class Follower:
    """Shows a push while it happens: the log as it grows, and each phase with its seconds."""

    def __init__(self, session: Session, name: str, workflow: Json, progress: output.Progress) -> None:
        self._session = session
        self._app = f"/apps/{quote(name)}"
        self._path = f"{self._app}/workflows/{workflow['uuid']}"
        self._title = f"push {workflow.get('wf_id', '')} of {name}"
        self._progress = progress
        self._told: set[str] = set() if workflow["source"].get("repository") else {"fetch"}
        self._lock = threading.Lock()
        self._over = threading.Event()

    def run(self) -> Json:
        """Return the workflow when it has ended well; raises with the reason, and what goes on serving, when not."""
        with self._progress.step(self._title) as detail:
            watch = threading.Thread(target=self._watch, args=(detail,), daemon=True)
            watch.start()
            text = Text(self._session, self._path, lambda line: self._progress.note(line, "  │"))
            try:
                ended = text.until_ended(self._title)
            finally:
                self._over.set()
            watch.join(timeout=5)
            self._tell_phases(ended)
            if ended["status"] == "ERROR":
                raise self._failure(ended)
        return ended

    def _failure(self, ended: Json) -> errors.StackyardError:
        serving = self._session.get(self._app, environment=ended.get("environment")).get("release") or 0
        still = f"release {serving} goes on serving" if serving else "nothing is served yet"
        return errors.StackyardError(f"push failed: {ended.get('status_reason') or 'no reason given'}; {still}")

    def _watch(self, detail: Callable[[str], None]) -> None:
        """Tell phases as they end; errors are left to the thread that follows the log."""
        while not self._over.wait(LOOK_SECONDS):
            try:
                workflow = self._session.get(self._path)
            except errors.StackyardError:
                continue
            if workflow["status"] not in ENDED:
                self._tell_phases(workflow)
                detail(NAMES.get(workflow["step"], workflow["step"]))

    def _tell_phases(self, workflow: Json) -> None:
        with self._lock:
            for phase, seconds in self._finished(workflow):
                self._told.add(phase)
                tell_phase(self._progress, NAMES.get(phase, phase), seconds)

    def _finished(self, workflow: Json) -> Iterator[tuple[str, float]]:
        """Yield phases not yet told that lie before the workflow's step (all of them once it is done)."""
        current = STEPS.index(workflow["step"]) if workflow["step"] in STEPS else 0
        spent = workflow.get("seconds") or {}
        for phase, step in PHASES.items():
            if STEPS.index(step) < current and phase in spent and phase not in self._told:
                yield phase, float(spent[phase])


def tell_phase(progress: output.Progress, name: str, seconds: float) -> None:
    """Tell a phase that is over, and how long it took."""
    progress.note(f"{name:<8} {seconds:6.1f} s", "✓")
