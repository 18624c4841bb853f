# SPDX-License-Identifier: Apache-2.0
"""Source archives (gzip'd tars) kept in a folder by digest; the port `Sources`.

Called by the API (uploads) and by workers (fetch, unpack), several processes at once. Knows nothing of builds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from typing import BinaryIO

from stackyard.drivers.disks import sync_folder
from stackyard.drivers.sources.addresses import Gate
from stackyard.drivers.sources.checks import GzipTarCheck
from stackyard.drivers.sources.git import Errand
from stackyard.drivers.sources.trees import Part
from stackyard.drivers.sources.unpack import unpack_archive
from stackyard.model import errors
from stackyard.model.ports import Log

CHUNK = 256 * 1024
FETCH_LIMIT = 2 * 1024**3
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = "partial-"


class SourceFolder:
    """Keeps archives as files named by their sha256; half-written ones of killed processes are removed."""

    def __init__(self, folder: pathlib.Path, fetch_seconds: float = 600.0, gate: Gate | None = None) -> None:
        self._folder = folder
        self._fetch_seconds = fetch_seconds
        self._gate = gate or Gate()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()

    def put(self, stream: BinaryIO, limit: int) -> str:
        """Store an archive, return its sha256; raises TooLarge beyond `limit` bytes, BadInput when it is none."""
        with storage_errors(), self._partial() as partial:
            digest = _copy(stream, partial, limit)
            os.replace(partial, self._path(digest))
            sync_folder(self._folder)
        return digest

    def fetch(self, repository: str, revision: str, log: Log) -> tuple[str, str]:
        """Clone a revision and store its tree; return (digest, commit); raises GiveUp with git's own words."""
        with self._errand(log) as errand, errand.archive(repository, revision) as (stream, commit):
            return self.put(stream, FETCH_LIMIT), commit

    def checkout(self, repository: str, revision: str, folder: pathlib.Path, log: Log) -> str:
        """Write a revision's tree into an empty folder, keep nothing of it; return the commit; raises GiveUp."""
        with self._errand(log) as errand, errand.archive(repository, revision) as (stream, commit):
            unpack_archive(stream, folder)
        return commit

    def put_commit(self, part: Part, log: Log) -> str:
        """Store the tree of a commit that is here already, with its submodules; return the digest; raises GiveUp."""
        with self._errand(log) as errand, errand.gathered(part, "") as stream:
            return self.put(stream, FETCH_LIMIT)

    @contextlib.contextmanager
    def _errand(self, log: Log) -> Iterator[Errand]:
        with storage_errors(), self._partial() as workspace:
            workspace.unlink()
            workspace.mkdir(mode=0o700)
            yield Errand(workspace, time.monotonic() + self._fetch_seconds, self._fetch_seconds, self._gate, log)

    def unpack(self, digest: str, folder: str) -> None:
        """Write the archive's tree into an empty folder; refuses what would leave it (GiveUp)."""
        try:
            with storage_errors(), self._path(digest).open("rb") as archive:
                unpack_archive(archive, pathlib.Path(folder))
        except FileNotFoundError:
            raise errors.GiveUp(f"the source archive {digest[:12]} is no longer stored; push again") from None

    def exists(self, digest: str) -> bool:
        """Tell whether the archive is stored."""
        return bool(_DIGEST.fullmatch(digest)) and self._path(digest).exists()

    def delete(self, digest: str) -> None:
        """Forget the archive; absent ones are fine."""
        self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> pathlib.Path:
        if not _DIGEST.fullmatch(digest):
            raise errors.BadInput("a source digest is the sha256 of an archive: 64 lower-case hexadecimal digits")
        return self._folder / f"{digest}.tar.gz"

    @contextlib.contextmanager
    def _partial(self) -> Iterator[pathlib.Path]:
        """Yield a file of our own, locked while we live so that nobody sweeps it, and removed unless renamed."""
        path = self._folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        lock = path.with_name(path.name + ".lock")
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            try:
                path.touch(mode=0o600)
                yield path
            finally:
                _remove(path)
                lock.unlink(missing_ok=True)

    def _sweep(self) -> None:
        for lock in self._folder.glob(f"{_TEMPORARY}*.lock"):
            with contextlib.suppress(OSError), lock.open("r+") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(held.fileno()).st_nlink:
                    _remove(lock.with_suffix(""))
                    lock.unlink(missing_ok=True)


def _copy(stream: BinaryIO, path: pathlib.Path, limit: int) -> str:
    """Write the stream to the file, checking as it goes by; return its sha256."""
    digest, check, size = hashlib.sha256(), GzipTarCheck(), 0
    with path.open("wb") as file:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise errors.TooLarge(f"the archive is larger than {limit} bytes; leave generated files out of it")
            check.feed(chunk)
            digest.update(chunk)
            file.write(chunk)
        check.finish()
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _remove(path: pathlib.Path) -> None:
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except FileNotFoundError:
        pass


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Say that the disk is full where it is."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.Unavailable("the disk of the platform is full; free space in its state folder") from error
        raise
