# SPDX-License-Identifier: Apache-2.0
"""A bare git repository for each application and each of its environments, in a folder; the port `GitRepositories`.

Called by the API, from many threads and processes at once. Git does all that concerns refs and objects; nothing that
a repository holds is ever run. The folder is a convenience for its users: releases do not need it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from stackyard.drivers.sources.archives import SourceFolder, storage_errors
from stackyard.drivers.sources.git_command import environment, limited
from stackyard.drivers.sources.receiving import HOOK, Reception, Streaming
from stackyard.drivers.sources.trees import keep_all_files
from stackyard.model import errors
from stackyard.model.ports import Pushed

CHUNK = 256 * 1024
MAX_REQUEST = 32 * 1024 * 1024
ADVERTISE_SECONDS = 30.0
STALE_SECONDS = 6 * 3600.0
SERVICES = ("upload-pack", "receive-pack")
_ID = re.compile(r"[0-9a-f-]{36}(\.[0-9a-f-]{36})?")
_PROTOCOL = re.compile(r"version=[012]")


@dataclasses.dataclass(frozen=True)
class Room:
    """What one push may bring, what a repository may come to (bytes), and how long a push may take (seconds)."""

    push: int = 512 * 1024 * 1024
    repository: int = 1024 * 1024 * 1024
    seconds: float = 7200.0


class BareRepositories:
    """Keeps `FOLDER/APP.git`; `sources` takes the archives of what is pushed."""

    def __init__(self, folder: pathlib.Path, sources: SourceFolder, room: Room | None = None) -> None:
        self._folder = folder
        self._sources = sources
        self._room = room or Room()

    def advertise(self, app_id: str, service: str, protocol: str) -> bytes:
        """Return the refs in the words of a service; makes the repository at first."""
        command = self._command(self._made(app_id), service, "--http-backend-info-refs")
        try:
            done = subprocess.run(
                command, env=self._environment(protocol), capture_output=True, check=True, timeout=ADVERTISE_SECONDS
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            raise errors.Unavailable("the application's repository can't be read now; try again") from None
        return done.stdout

    def receive(self, app_id: str, body: BinaryIO, judge: Callable[[Pushed], bool]) -> Iterator[bytes]:
        """Take a push, and yield git's answer while it is judged."""
        git_dir = self._made(app_id)
        _sweep(git_dir)
        command = self._command(git_dir, "receive-pack")
        with self._spooled(body, self._room.push) as spool:
            self._check_room(git_dir)
            reception = Reception(git_dir, self._sources, judge, self._room.seconds)
            return reception.begin(command, self._environment(), spool)

    def serve(self, app_id: str, body: BinaryIO, protocol: str) -> Iterator[bytes]:
        """Yield git's answer to a fetch."""
        command = self._command(self._made(app_id), "upload-pack")
        with self._spooled(body, MAX_REQUEST) as spool:
            return Streaming.of(command, self._environment(protocol), spool, self._room.seconds)

    def delete(self, app_id: str) -> None:
        """Forget the repository, and those of the application's environments; absent ones are fine."""
        for path in (self._path(app_id), *self._folder.glob(f"{app_id}.*.git")):
            shutil.rmtree(path, ignore_errors=True)

    def _path(self, app_id: str) -> pathlib.Path:
        if not _ID.fullmatch(app_id):
            raise errors.NotFound("there is no such application")
        return self._folder / f"{app_id}.git"

    def _made(self, app_id: str) -> pathlib.Path:
        """Return the repository's folder, made whole or not at all."""
        path = self._path(app_id)
        hook = self._hooks() / "pre-receive"
        if not hook.exists() or hook.read_text() != HOOK:
            _write_hook(hook)
        if path.exists():
            return path
        new = self._folder / f"new-{secrets.token_hex(8)}"
        init = ["git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(new)]
        subprocess.run(init, env=self._environment(), check=True, capture_output=True, timeout=ADVERTISE_SECONDS)
        keep_all_files(new)
        try:
            new.rename(path)
        except OSError:  # another request was faster
            shutil.rmtree(new, ignore_errors=True)
        return path

    def _hooks(self) -> pathlib.Path:
        hooks = self._folder / "hooks"
        hooks.mkdir(mode=0o700, parents=True, exist_ok=True)
        return hooks

    def _command(self, git_dir: pathlib.Path, service: str, *options: str) -> list[str]:
        if service not in SERVICES:
            raise errors.BadInput("the service must be git-upload-pack or git-receive-pack")
        settings = [word for pair in self._settings() for word in ("-c", pair)]
        return limited(["git", *settings, service, "--stateless-rpc", *options, str(git_dir)])

    def _settings(self) -> tuple[str, ...]:
        return (
            f"core.hooksPath={self._hooks()}",
            f"receive.maxInputSize={self._room.push}",
            "receive.fsckObjects=true",
            # Faults of old tools that old histories have, and that harm nobody
            "receive.fsck.zeroPaddedFilemode=ignore",
            "receive.fsck.badTimezone=ignore",
            "receive.fsck.missingSpaceBeforeDate=ignore",
            "receive.advertisePushOptions=false",
            "gc.autoDetach=false",
            "gc.pruneExpire=1.day.ago",
            "uploadpack.allowFilter=true",
        )

    def _environment(self, protocol: str = "") -> dict[str, str]:
        version = {"GIT_PROTOCOL": protocol} if _PROTOCOL.fullmatch(protocol) else {}
        return {**environment(self._folder), **version}

    def _check_room(self, git_dir: pathlib.Path) -> None:
        used = sum(file.stat().st_size for file in git_dir.rglob("*") if file.is_file())
        if used > self._room.repository:
            allowed = self._room.repository // 1024**2
            raise errors.TooLarge(
                f"the application's repository takes more than {allowed} MiB here; push the folder (stackyard push DIR)"
            )

    @contextlib.contextmanager
    def _spooled(self, body: BinaryIO, limit: int) -> Iterator[BinaryIO]:
        """Yield the request's body as a file, so that git is never held up by a slow client."""
        # Unbuffered: git goes on at the place where this process has left the file
        with storage_errors(), tempfile.TemporaryFile(dir=self._folder, buffering=0) as spool:
            _copy(body, cast(BinaryIO, spool), limit)
            yield cast(BinaryIO, spool)


def _copy(body: BinaryIO, spool: BinaryIO, limit: int) -> None:
    """Copy the body; of one that is too large the rest is heard out as far again, since git reads no answer before."""
    size = 0
    while (chunk := body.read(CHUNK)) and size <= 2 * limit:
        size += len(chunk)
        if size <= limit:
            spool.write(chunk)
    if size > limit:
        allowed = limit // 1024**2
        raise errors.TooLarge(f"the push is larger than {allowed} MiB; leave generated files out of the repository")
    spool.seek(0)


def _write_hook(hook: pathlib.Path) -> None:
    partial = hook.with_name(f"new-{secrets.token_hex(8)}")
    partial.write_text(HOOK)
    partial.chmod(0o700)
    partial.rename(hook)


def _sweep(git_dir: pathlib.Path) -> None:
    """Remove what a push that was killed left; none takes as long as that."""
    for left in (git_dir / "objects").glob("tmp_objdir-incoming-*"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
