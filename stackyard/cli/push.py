# SPDX-License-Identifier: Apache-2.0
"""`stackyard push`: from a folder or a git repository to a served release, told while it happens.

The push itself runs on the platform: this command only hands over the source and follows.
"""

from __future__ import annotations

import codecs
import dataclasses
import pathlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import click

from stackyard.cli import output, waiting
from stackyard.cli.session import Session, quote
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION
from stackyard.model.builds import PHASES, Step

SERVICE = "application_deployment"
GIT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|:)|[\w.-]+@[\w.-]+:")
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
STEPS = tuple(step.value for step in Step)
NAMES = {"fetch": "receive"}
ENDED = ("DEPLOYMENT_COMPLETE", "ERROR")
LOOK_SECONDS = 0.4
PUSH_SECONDS = 3600.0

Json = dict[str, Any]


@click.command()
@click.argument("source", default=".", metavar="[DIR|GIT_URL]")
@click.option("--app", "name", help="Application to push to; made when absent. Default: the folder's name.")
@click.option("--revision", default="", help="Branch, tag or commit of GIT_URL; for a folder, the name to record.")
@click.option("--cluster", help="Cluster for an application made now. Default: the project's only one.")
@output.env_option
@click.option("--detach", is_flag=True, help="Hand the source over and return at once.")
@click.option("--force", is_flag=True, help="Build even where nothing has changed since the release that serves.")
@output.json_option
def push(source: str, name: str | None, revision: str, cluster: str | None, *, as_json: bool, **more: Any) -> None:
    """Build a folder or git repository and deploy it.

    The push goes on when this command is interrupted.
    """
    began = time.monotonic()
    name = name or default_name(source)
    progress = output.Progress(quiet=as_json)
    session = Session(SERVICE)
    prepared = dataclasses.replace(
        prepare(source, revision, force=more["force"]), environment=more.get("environment") or PRODUCTION
    )
    app, is_new = find_or_create(session, name, cluster)
    workflow = begin(session, app, prepared, is_new=is_new)
    if prepared.archive is not None:
        tell_phase(progress, "receive", time.monotonic() - began)
    if workflow.get("unchanged"):
        _tell_unchanged(progress, workflow)
        _tell_end(session, app, workflow, time.monotonic() - began, as_json=as_json)
        return
    if more["detach"]:
        _tell_detached(name, workflow, as_json=as_json)
        return
    try:
        ended = Follower(session, name, workflow, progress).run()
    except KeyboardInterrupt:
        click.echo(f"\nthe push goes on without you; 'stackyard builds {name}' tells how it ends", err=True)
        raise
    _tell_end(session, app, ended, time.monotonic() - began, as_json=as_json)


def tell_phase(progress: output.Progress, name: str, seconds: float) -> None:
    """Tell a phase that is over, and how long it took."""
    progress.note(f"{name:<8} {seconds:6.1f} s", "✓")


def default_name(source: str) -> str:
    """Return an application's name for a folder or URL: its last part, as a DNS label."""
    path = source.rstrip("/").removesuffix(".git")
    last = re.split(r"[/:]", path)[-1] if GIT_URL.match(source) else pathlib.Path(source).resolve().name
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:63].rstrip("-")
    if not name:
        raise errors.BadInput(f"no application name can be made of {source!r}; give one with --app NAME")
    return name


def find_or_create(session: Session, name: str, cluster: str | None = None) -> tuple[Json, bool]:
    """Return the application and whether it was made now (on `cluster`, where given)."""
    try:
        return session.get(f"/apps/{quote(name)}"), False
    except errors.NotFound:
        return session.post("/apps", {"name": name, "cluster": cluster} if cluster else {"name": name}), True


# --- handing the source over -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A source in the API's words, with the archive where it is a folder."""

    source: Json
    archive: BinaryIO | None = None
    force: bool = False
    environment: str = PRODUCTION


def prepare(source: str, revision: str, *, force: bool = False) -> Prepared:
    """Return what a folder or URL comes to; raises BadInput before anything is sent."""
    if GIT_URL.match(source):
        return Prepared({"repository": as_url(source), "revision": revision}, force=force)
    folder = pathlib.Path(source)
    if not folder.is_dir():
        raise errors.BadInput(f"{source} is no folder and no git URL (https://, ssh:// or git@HOST:PATH)")
    from stackyard.cli import archive  # noqa: PLC0415  (import time)

    packed = archive.pack(folder)
    return Prepared({"digest": packed.digest, "revision": revision or packed.revision}, packed.stream, force)


def begin(session: Session, app: Json, prepared: Prepared, *, is_new: bool) -> Json:
    """Start a push and return its workflow; an application made for it goes again when it is refused."""
    try:
        return _start(session, app, prepared)
    except errors.StackyardError:
        if is_new:
            session.delete(f"/apps/{app['uuid']}")
        raise


def _start(session: Session, app: Json, prepared: Prepared) -> Json:
    """Ask for the push; an archive is uploaded only when the platform says that it has none of this digest."""
    path = f"/apps/{app['uuid']}/workflows"
    document: Json = {"actions": ["build", "deploy"], "source": prepared.source}
    if prepared.force:
        document["force"] = True
    if prepared.environment != PRODUCTION:
        document["environment"] = prepared.environment
    try:
        workflow: Json = session.post(path, document)
    except errors.BadInput:
        if prepared.archive is None:
            raise
        session.upload("/sources", prepared.archive, "application/gzip")
        workflow = session.post(path, document)
    return workflow


def as_url(source: str) -> str:
    """Return git's short form USER@HOST:PATH as the ssh URL that it stands for; anything else as it is."""
    short = re.fullmatch(r"([\w.-]+@[\w.-]+):(?!//)(.+)", source)
    return f"ssh://{short[1]}/{short[2].lstrip('/')}" if short else source


# --- following it ------------------------------------------------------------------------------


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


# --- telling how it ended ----------------------------------------------------------------------


def _tell_detached(name: str, workflow: Json, *, as_json: bool) -> None:
    if as_json:
        output.print_json(workflow)
        return
    click.echo(f"push {workflow['wf_id']} of {name} is on its way; 'stackyard builds {name}' tells how it ends")


def _tell_unchanged(progress: output.Progress, workflow: Json) -> None:
    progress.note(f"nothing changed; release {workflow['release']} serves (--force builds all the same)", "✓")


def _tell_end(session: Session, before: Json, ended: Json, seconds: float, *, as_json: bool) -> None:
    app = session.get(f"/apps/{before['uuid']}", environment=ended.get("environment"))
    result = {
        "app": app["name"],
        "environment": app.get("environment"),
        "release": ended["release"],
        "revision": ended.get("revision") or "",
        "images": ended.get("images") or {},
        "unchanged": bool(ended.get("unchanged")),
        "seconds": round(seconds, 2),
        "url": app.get("app_url"),
        "workflow": ended["uuid"],
    }
    if as_json:
        output.print_json(result)
        return
    sys.stderr.flush()
    click.echo(f"Release: {result['release']}\nRevision: {result['revision']}")
    for name, image in sorted(result["images"].items()):
        click.echo(f"Image: {name} {image.partition('@')[2] or image}")
    click.echo(f"Seconds: {seconds:.1f}")
    click.echo(f"URL: {result['url'] or 'none (no service publishes a port)'}")
