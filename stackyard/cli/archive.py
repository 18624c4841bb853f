# SPDX-License-Identifier: Apache-2.0
"""Packing of a folder for upload: an unchanged tree always gives the same bytes, and so the same digest.

Called by `stackyard push`. Knows nothing of HTTP. What git ignores stays at home.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast

import pathspec

from stackyard.model import errors
from stackyard.model.tree_sizes import MAX_BYTES, MAX_FILES

_HEADER = 1024
"""What an archive has beside the content of each file, about."""
_SPOOL = 32 * 1024 * 1024
_COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_ALWAYS = frozenset({*_COMPOSE_FILES, "Dockerfile", "Procfile", ".dockerignore"})


@dataclasses.dataclass(frozen=True)
class Archive:
    """A gzip'd tar ready to be read from its start; `digest` is its sha256, `revision` a commit or empty."""

    stream: BinaryIO
    digest: str
    size: int
    files: int
    revision: str = ""


def pack(folder: pathlib.Path) -> Archive:
    """Pack a folder; raises BadInput, naming it, for what can't be uploaded (links that leave the folder, devices)."""
    root = folder.resolve()
    if not root.is_dir():
        raise errors.BadInput(f"{folder} is no folder; give the folder of the application")
    revision, names = _git_tree(root)
    if names is None:
        names = _plain_tree(root)
    entries = sorted(set(names))
    for name in entries:
        _check(root, name)
    _check_size(root, entries)
    stream = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_SPOOL))  # noqa: SIM115  (handed on)
    _write(root, entries, stream)
    digest, size = _measure(stream)
    return Archive(stream, digest, size, len(entries), revision)


def _git_tree(root: pathlib.Path) -> tuple[str, list[str] | None]:
    """Return (revision, files that git knows or would add); no files (None) when git has nothing to say."""
    if not shutil.which("git"):
        return "", None
    status = _start(root, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".")
    listed = _start(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    told, shown = listed.communicate()[0], status.communicate()[0]
    if listed.returncode or status.returncode or not told:
        return "", None
    names = [os.fsdecode(name) for name in told.split(b"\0") if name]
    return _revision(shown.decode(errors="replace")), list(_expand(root, names))


def _start(folder: pathlib.Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _revision(status: str) -> str:
    lines = status.splitlines()
    commit = next((line.split()[2] for line in lines if line.startswith("# branch.oid ")), "")
    if commit in ("", "(initial)"):
        return ""
    return commit + ("-dirty" if any(not line.startswith("#") for line in lines) else "")


def _expand(root: pathlib.Path, names: list[str]) -> Iterator[str]:
    """Leave out deleted files, and go into submodules and nested repositories, which git names as one entry."""
    for name in names:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            inner = _git_tree(path)[1] if (path / ".git").exists() else None
            yield from (f"{name.rstrip('/')}/{below}" for below in (_plain_tree(path) if inner is None else inner))
        elif os.path.lexists(path):
            yield name


def _plain_tree(root: pathlib.Path) -> list[str]:
    """Return the files of a folder that is in no git work tree, without what its ignore files name."""
    names: list[str] = []
    specs: dict[str, pathspec.GitIgnoreSpec] = {}
    docker = _docker_ignore(root)
    for folder, folders, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        base = "" if relative == "." else relative + "/"
        if ".gitignore" in files:
            specs[base] = _read_spec(pathlib.Path(folder, ".gitignore"))
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = [
            n
            for n in folders
            if n not in links and _wanted_folder(root, base + n) and not _ignored(specs, base + n + "/")
        ]
        names += [base + n for n in files + links if not _ignored(specs, base + n)]
    return [name for name in names if name in _ALWAYS or not (docker and docker.match_file(name))]


def _wanted_folder(root: pathlib.Path, name: str) -> bool:
    """Say no to what no one means to upload: repositories' own data, caches, virtual environments."""
    path = root / name
    return path.name not in (".git", "__pycache__", "node_modules") and not (path / "pyvenv.cfg").exists()


def _ignored(specs: dict[str, pathspec.GitIgnoreSpec], name: str) -> bool:
    """Tell whether an ignore file at or above the entry names it; the deepest one that speaks decides."""
    for base in sorted(specs, key=len, reverse=True):
        if name.startswith(base):
            verdict = specs[base].check_file(name[len(base) :]).include
            if verdict is not None:
                return verdict
    return False


def _docker_ignore(root: pathlib.Path) -> pathspec.GitIgnoreSpec | None:
    """Return the rules of .dockerignore, where the folder is one build context (a Compose file may have several)."""
    path = root / ".dockerignore"
    if path.is_file() and not any((root / name).exists() for name in _COMPOSE_FILES):
        lines = [_anchored(line.strip()) for line in path.read_text(errors="replace").splitlines()]
        return pathspec.GitIgnoreSpec.from_lines(lines)
    return None


def _anchored(line: str) -> str:
    """Return a .dockerignore line in git's words: there all patterns are relative to the top."""
    if not line or line.startswith("#"):
        return ""
    negated, pattern = ("!", line[1:]) if line.startswith("!") else ("", line)
    return f"{negated}/{pattern.lstrip('/')}"


def _read_spec(path: pathlib.Path) -> pathspec.GitIgnoreSpec:
    return pathspec.GitIgnoreSpec.from_lines(path.read_text(errors="replace").splitlines())


def _check(root: pathlib.Path, name: str) -> None:
    """Refuse what the platform would refuse, before anything is sent."""
    path = root / name
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        target = os.readlink(path)
        if target.startswith("/") or not pathlib.Path(os.path.realpath(path)).is_relative_to(root):
            raise errors.BadInput(
                f"symlink {name!r} -> {target!r} leaves the folder; replace it by a file or ignore it"
            )
    elif not stat.S_ISREG(mode):
        raise errors.BadInput(f"{name!r} is a pipe, socket or device; remove it or name it in .gitignore")
    elif not os.access(path, os.R_OK):
        raise errors.BadInput(f"{name!r} can't be read; change its permissions or name it in .gitignore")


def _check_size(root: pathlib.Path, names: list[str]) -> None:
    """Refuse what is too large before minutes are spent on packing it."""
    folders = {str(above) for folder in {os.path.dirname(name) for name in names} for above in _path(folder)}
    if len(names) + len(folders) > MAX_FILES:
        raise errors.BadInput(
            f"the folder has {len(names)} files in {len(folders)} folders, {MAX_FILES} together are allowed;"
            " name what need not be uploaded in .gitignore"
        )
    sizes = [(root / name).lstat().st_size for name in names]
    if sum(sizes) + _HEADER * len(sizes) > MAX_BYTES:
        raise errors.BadInput(
            f"the folder has {sum(sizes) >> 20} MiB, {MAX_BYTES >> 20} are allowed; the largest file is"
            f" {names[sizes.index(max(sizes))]!r}; name what need not be uploaded in .gitignore"
        )


def _path(folder: str) -> list[pathlib.PurePath]:
    """Return a folder of the tree and those above it, without the top."""
    path = pathlib.PurePath(folder)
    return [path, *path.parents][:-1] if folder else []


def _write(root: pathlib.Path, names: list[str], stream: BinaryIO) -> None:
    with (
        gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in names:
            _add(tar, root / name, name)


def _add(tar: tarfile.TarFile, path: pathlib.Path, name: str) -> None:
    """Add one entry with nothing of this machine in it but time to the second and the executable bit."""
    seen = path.lstat()
    entry = tarfile.TarInfo(name)
    entry.mtime = int(seen.st_mtime)
    if stat.S_ISLNK(seen.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(entry)
        return
    entry.mode = 0o755 if seen.st_mode & 0o111 else 0o644
    with path.open("rb") as file:
        entry.size = os.fstat(file.fileno()).st_size
        try:
            tar.addfile(entry, file)
        except OSError as error:
            raise errors.BadInput(f"{name!r} changed while it was read ({error}); try again") from error


def _measure(stream: BinaryIO) -> tuple[str, int]:
    """Return (sha256, size) and leave the stream at its start."""
    stream.seek(0)
    digest = hashlib.sha256()
    while chunk := stream.read(1024 * 1024):
        digest.update(chunk)
    size = stream.tell()
    stream.seek(0)
    return digest.hexdigest(), size
