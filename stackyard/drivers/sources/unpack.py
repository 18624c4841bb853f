# SPDX-License-Identifier: Apache-2.0
"""Unpacking of archives that nobody trusts: nothing is written outside the folder, nothing special is made.

Called by `archives`. Links are made last, so that no entry can be written through one.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import pathlib
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from stackyard.model import errors
from stackyard.model.tree_sizes import MAX_BYTES, MAX_FILES

_MAX_HEADERS = 4 * 1024 * 1024
_MAX_TIME = 2**33
_BAD_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EILSEQ, errno.ENOENT)


class _Meter:
    """Reads a stream for tarfile and refuses to hand out more than the allowance set before."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.allowance = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.allowance -= len(data)
        if self.allowance < 0:
            raise errors.GiveUp("the archive's headers are too large to be honest")
        return data


def unpack_archive(archive: BinaryIO, folder: pathlib.Path) -> None:
    """Write the tree of a gzip'd tar into an empty folder; raises GiveUp with the name of what is refused."""
    try:
        meter = _Meter(gzip.GzipFile(fileobj=archive))
        meter.allowance = _MAX_HEADERS
        # "r|": one pass over the stream, so that each byte is inflated once
        with tarfile.open(fileobj=meter, mode="r|", tarinfo=tarfile.TarInfo) as tar:  # type: ignore[call-overload]
            _Tree(folder).write(tar, meter)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, RecursionError) as error:
        raise errors.GiveUp(f"the source archive is damaged: {error}; push again") from error


class _Tree:
    """The folder being filled."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._root = folder.resolve()
        self._links: dict[pathlib.Path, str] = {}
        self._written = 0

    def write(self, tar: tarfile.TarFile, meter: _Meter) -> None:
        count = 0
        while True:
            meter.allowance = _MAX_HEADERS
            entry = tar.next()
            if entry is None:
                break
            tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
            count += 1
            if count > MAX_FILES:
                raise errors.GiveUp(f"the archive holds more than {MAX_FILES} entries, at {entry.name!r}")
            meter.allowance = entry.size + _MAX_HEADERS
            self._entry(tar, entry)
        self._make_links()

    def _entry(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = self._place(entry.name)
        with _named(entry.name):
            if entry.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif entry.isreg():
                self._file(tar, entry, path)
            elif entry.issym():
                self._links[path] = entry.linkname
            elif entry.islnk():
                self._hard_link(entry, path)
            else:
                raise errors.GiveUp(f"archive entry {entry.name!r} is a device, pipe or socket; leave it out")

    def _place(self, name: str) -> pathlib.Path:
        parts = pathlib.PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise errors.GiveUp(f"archive entry {name!r} leaves the source tree; use names within it")
        return self._root.joinpath(*parts)

    def _file(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: pathlib.Path) -> None:
        self._count(entry.size, entry.name)
        self._clear(path)
        content = tar.extractfile(entry)
        with open(path, "xb") as file:
            if content is not None:
                shutil.copyfileobj(content, file, 1024 * 1024)
            os.fchmod(file.fileno(), 0o755 if entry.mode & 0o111 else 0o644)
        when = min(max(int(entry.mtime), 0), _MAX_TIME)
        os.utime(path, (when, when))

    def _hard_link(self, entry: tarfile.TarInfo, path: pathlib.Path) -> None:
        target = self._place(entry.linkname)
        if not target.is_file():
            raise errors.GiveUp(f"archive entry {entry.name!r} is a hard link to {entry.linkname!r}, no file before it")
        if path != target:
            self._count(target.stat().st_size, entry.name)
            self._clear(path)
            shutil.copy2(target, path)  # a copy: later changes to one must not show in the other

    def _count(self, size: int, name: str) -> None:
        self._written += size
        if self._written > MAX_BYTES:
            raise errors.GiveUp(f"the archive unpacks to more than {MAX_BYTES} bytes, at {name!r}")

    def _clear(self, path: pathlib.Path) -> None:
        """Make room for a file: the folder above it, and a later entry of the same name wins, as in tar."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._links.pop(path, None)
        path.unlink(missing_ok=True)

    def _make_links(self) -> None:
        for path, target in self._links.items():
            if path.is_dir() or not self._links.keys().isdisjoint(path.parents):
                raise errors.GiveUp(f"archive entry {self._name(path)!r} is both a link and a folder")
            with _named(self._name(path)):
                self._make_link(path, target)
        # Only now, with all of them in place, does each resolve to where it will lead
        for path, target in self._links.items():
            if not pathlib.Path(os.path.realpath(path)).is_relative_to(self._root):
                self._unlink_all()
                raise _leaves(self._name(path), target)

    def _make_link(self, path: pathlib.Path, target: str) -> None:
        if target.startswith("/"):
            raise _leaves(self._name(path), target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def _unlink_all(self) -> None:
        for path in self._links:
            path.unlink(missing_ok=True)

    def _name(self, path: pathlib.Path) -> str:
        return str(path.relative_to(self._root))


def _leaves(name: str, target: str) -> errors.GiveUp:
    return errors.GiveUp(f"symlink {name!r} -> {target!r} leaves the source tree; replace it by a file or leave it out")


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn what the file system says of an entry's name into words; a full disk stays what it is."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise errors.GiveUp(f"archive entry {name!r} is both a file and a folder") from None
    except (ValueError, OverflowError) as error:
        raise errors.GiveUp(f"archive entry {name!r} can't be written: {error}") from error
    except OSError as error:
        if error.errno not in _BAD_NAME:
            raise
        raise errors.GiveUp(f"archive entry {name!r} can't be written: {error.strerror}") from error
