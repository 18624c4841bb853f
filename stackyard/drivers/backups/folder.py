# SPDX-License-Identifier: Apache-2.0
"""Content of backups as sealed files of a folder: implements the port Vault. Called by the worker; knows no database.

A file has its name only once it is whole and on the disk. Drafts of attempts that were broken off go with the next one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator

from stackyard.drivers.backups.sealing import seal, unseal
from stackyard.drivers.disks import sync_folder
from stackyard.model import errors
from stackyard.model.ports import Kept, Secrets

MIB = 1 << 20
RESERVE = 512 * MIB
"""So much of the disk is left to the platform itself."""
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclasses.dataclass
class _Count:
    """What has gone by: bytes, and their sha256."""

    size: int = 0
    sha256: hashlib._Hash = dataclasses.field(default_factory=hashlib.sha256)

    def through(self, content: Iterable[bytes]) -> Iterator[bytes]:
        """Yield content, counting it."""
        for piece in content:
            self.size += len(piece)
            self.sha256.update(piece)
            yield piece


class FolderVault:
    """Files at FOLDER/APPLICATION/BACKUP; an application's may take `megabytes` together."""

    def __init__(self, folder: pathlib.Path, secrets: Secrets, megabytes: int, reserve: int = RESERVE) -> None:
        """Nothing is made until something is kept."""
        self._folder = folder
        self._secrets = secrets
        self._limit = megabytes * MIB
        self._reserve = reserve

    def write(self, app_id: str, backup_id: str, content: Iterable[bytes]) -> Kept:
        """Keep content under a new key in place of what was kept under the name; raises GiveUp without room."""
        folder = self._folder / app_id
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._forget_drafts(folder, backup_id)
            return self._write(folder, backup_id, content)
        except OSError as error:
            if error.errno in FULL:
                raise errors.GiveUp(self._no_room()) from error
            raise errors.Unavailable(f"backups can't be written: {error}") from error

    def _write(self, folder: pathlib.Path, backup_id: str, content: Iterable[bytes]) -> Kept:
        handle, draft = tempfile.mkstemp(dir=folder, prefix=f".{backup_id}.")
        counted, stored, others = _Count(), 0, self._taken(folder, but=backup_id)
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in seal(self._secrets, counted.through(content)):
                    stored += file.write(piece)
                    self._check_room(folder, others + stored)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, folder / backup_id)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
        sync_folder(folder)
        return Kept(counted.size, stored, counted.sha256.hexdigest())

    def read(self, app_id: str, backup_id: str) -> Iterator[bytes]:
        """Yield the content; raises GiveUp where it is gone, was changed or cut off."""
        try:
            with (self._folder / app_id / backup_id).open("rb") as file:
                yield from unseal(self._secrets, file)
        except FileNotFoundError:
            raise errors.GiveUp("what was kept of it is gone") from None
        except OSError as error:
            raise errors.Unavailable(f"a backup can't be read: {error}") from error

    def has(self, app_id: str, backup_id: str) -> bool:
        """Tell whether there is anything of it, drafts included."""
        folder = self._folder / app_id
        return (folder / backup_id).exists() or any(folder.glob(f".{backup_id}.*"))

    def delete(self, app_id: str, backup_id: str | None = None) -> None:
        """Forget one backup (None: all of the application's)."""
        folder = self._folder / app_id
        if backup_id is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        self._forget_drafts(folder, backup_id)
        (folder / backup_id).unlink(missing_ok=True)

    def _forget_drafts(self, folder: pathlib.Path, backup_id: str) -> None:
        for draft in folder.glob(f".{backup_id}.*"):
            draft.unlink(missing_ok=True)

    def _taken(self, folder: pathlib.Path, but: str) -> int:
        kept = [each for each in folder.iterdir() if each.name != but]
        return sum(each.stat().st_size for each in kept if each.exists())

    def _check_room(self, folder: pathlib.Path, taken: int) -> None:
        if taken > self._limit:
            raise errors.GiveUp(
                f"the application's backups would take more than {self._limit // MIB} MiB; delete some, or ask the"
                " operator for more (option megabytes of [backups])"
            )
        if shutil.disk_usage(folder).free < self._reserve:
            raise errors.GiveUp(self._no_room())

    def _no_room(self) -> str:
        return "the platform's disk is full; delete backups, or ask the operator for room"
