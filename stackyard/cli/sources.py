# SPDX-License-Identifier: Apache-2.0
"""Sources on their way to the platform: a folder as an archive, a git repository by its URL. Called by `push`."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any, BinaryIO

from stackyard.cli.session import Session
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION

GIT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|:)|[\w.-]+@[\w.-]+:")

Json = dict[str, Any]


def default_name(source: str) -> str:
    """Return an application's name for a folder or URL: its last part, as a DNS label."""
    path = source.rstrip("/").removesuffix(".git")
    last = re.split(r"[/:]", path)[-1] if GIT_URL.match(source) else pathlib.Path(source).resolve().name
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:63].rstrip("-")
    if not name:
        raise errors.BadInput(f"no application name can be made of {source!r}; give one with --app NAME")
    return name


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A source in the API's words, with the archive where it is a folder; `buildpacks` None: as chosen before."""

    source: Json
    archive: BinaryIO | None = None
    force: bool = False
    environment: str = PRODUCTION
    buildpacks: tuple[str, ...] | None = None


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
    if prepared.buildpacks is not None:
        document["buildpacks"] = list(prepared.buildpacks)
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
