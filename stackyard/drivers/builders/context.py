# SPDX-License-Identifier: Apache-2.0
"""The files of a build context, honouring .dockerignore, as a tar that depends on nothing but them.

Used by `engine_build`, `workroom` and `layers`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import stat
import tarfile
from collections.abc import Sequence
from typing import BinaryIO

from docker.utils.build import exclude_paths

from stackyard.model import errors
from stackyard.model.tree_sizes import MAX_BYTES, MAX_FILES

IGNORE_FILES = (".dockerignore",)


@dataclasses.dataclass(frozen=True)
class Files:
    """A build context: a folder and the sorted names within it that count."""

    folder: pathlib.Path
    names: list[str] = dataclasses.field(repr=False)

    @functools.cached_property
    def digest(self) -> str:
        """Return a digest of names, modes and contents; times do not count."""
        return digest(self.folder, self.names)


def files(folder: pathlib.Path, dockerfile: str | None = None, ignores: Sequence[str] = ()) -> list[str]:
    """Return the relative names of all files, links and folders of the context, sorted; never what is in .git.

    `ignores` go before what .dockerignore says. Raises BadInput for a tree that is too large.
    """
    patterns = [".git", *ignores, *_patterns(folder, dockerfile)]
    try:
        found = exclude_paths(str(folder), patterns, dockerfile=dockerfile or "Dockerfile")
    except re.error as error:
        raise errors.BadInput(f".dockerignore has a pattern that can't be read: {error}") from error
    names = sorted(name for name in found if name)
    _check_size(folder, names)
    return names


def everything(folder: pathlib.Path, limit: int, what: str) -> list[str]:
    """Return the relative names of all that is in a folder, sorted; raises BadInput beyond `limit` bytes."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    size = sum((folder / name).lstat().st_size for name in names)
    if size > limit or len(names) > MAX_FILES:
        raise errors.BadInput(
            f"{what} has {size >> 20} MiB in {len(names)} files; {limit >> 20} MiB in {MAX_FILES} are allowed"
        )
    return names


def _check_size(folder: pathlib.Path, names: Sequence[str]) -> None:
    if len(names) > MAX_FILES:
        raise errors.BadInput(
            f"the source tree has {len(names)} files and folders, {MAX_FILES} are allowed;"
            " name what need not be built in .dockerignore"
        )
    sizes = [(folder / name).lstat().st_size for name in names]
    if sum(sizes) > MAX_BYTES:
        largest = names[sizes.index(max(sizes))]
        raise errors.BadInput(
            f"the source tree has {sum(sizes) >> 20} MiB, {MAX_BYTES >> 20} are allowed; the largest file is"
            f" {largest!r}; name what need not be built in .dockerignore"
        )


def add(tar: tarfile.TarFile, folder: pathlib.Path, names: list[str], prefix: str = "", owner: int = 0) -> None:
    """Add the files under `prefix`, owned by `owner`, with no name of this machine's users in them."""
    for name in names:
        path = folder / name
        entry = tarfile.TarInfo(prefix + name)
        seen = path.lstat()
        entry.uid = entry.gid = owner
        entry.mtime = int(seen.st_mtime)
        if stat.S_ISREG(seen.st_mode):
            entry.size = seen.st_size
            entry.mode = 0o755 if seen.st_mode & 0o111 else 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
            continue
        entry.mode = 0o755
        if stat.S_ISLNK(seen.st_mode):
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
        elif stat.S_ISDIR(seen.st_mode):
            entry.type, entry.mtime = tarfile.DIRTYPE, 0  # a folder's time tells when it was unpacked
        else:
            raise errors.BadInput(f"{name!r} is no plain file; leave it out")
        tar.addfile(entry)


def write(folder: pathlib.Path, names: list[str], stream: BinaryIO) -> None:
    """Write the context as a tar to the stream."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, folder, names)


def digest(folder: pathlib.Path, names: list[str]) -> str:
    """Return a digest of names, modes and contents; times do not count."""
    total = hashlib.sha256()
    for name in names:
        path = folder / name
        mode = path.lstat().st_mode
        content = os.readlink(path).encode("utf-8", "surrogateescape") if stat.S_ISLNK(mode) else b""
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        total.update(f"{name}\0{stat.S_IFMT(mode)}{bool(mode & 0o111)}\0".encode("utf-8", "surrogateescape") + content)
    return total.hexdigest()


def _patterns(folder: pathlib.Path, dockerfile: str | None) -> list[str]:
    for name in (f"{dockerfile}.dockerignore" if dockerfile else "", *IGNORE_FILES):
        path = folder / name
        if name and path.is_file():
            lines = (line.strip() for line in path.read_text(errors="replace").splitlines())
            return [line for line in lines if line and not line.startswith("#")]
    return []
