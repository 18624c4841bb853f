# SPDX-License-Identifier: Apache-2.0
"""The files of a commit as a gzip'd tar, with those of its submodules: the same commit gives the same bytes.

Called by `git` (fetched repositories) and `repositories` (pushed ones). There is no checkout, so that no filter runs;
what would be incomplete (pointers of Git LFS) is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from stackyard.drivers.sources.git_command import Git, GitFailed
from stackyard.model import errors

MAX_NAMED = 5
_ATTRIBUTES = "* -export-ignore -export-subst\n"
_LFS = "^version https://git-lfs.github.com/spec/v1$"


@dataclasses.dataclass(frozen=True)
class Part:
    """A commit of a repository whose files go under `prefix` (empty, or ending with a slash)."""

    git: Git
    commit: str
    prefix: str = ""


@dataclasses.dataclass(frozen=True)
class Link:
    """A submodule: where it is, which commit of which repository; `url` empty where nothing names it."""

    path: str
    commit: str
    url: str


def keep_all_files(git_dir: pathlib.Path) -> None:
    """Make archives of this repository hold all files, as they are, whatever its attributes say."""
    attributes = git_dir / "info" / "attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text(_ATTRIBUTES)


@contextlib.contextmanager
def packed(parts: Sequence[Part], folder: pathlib.Path) -> Iterator[BinaryIO]:
    """Yield a gzip'd tar of all parts, kept in `folder` meanwhile; raises GiveUp for what can't be read."""
    for part in parts:
        _refuse_pointers(part)
    with tempfile.TemporaryFile(dir=folder) as file:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as target:
            if len(parts) == 1:
                _copy(parts[0], target)
            else:
                _join(parts, target)
        file.seek(0)
        yield cast(BinaryIO, file)


def links(part: Part) -> list[Link]:
    """Return the submodules of a commit."""
    found = []
    for entry in part.git.run("ls-tree", "-r", "-z", part.commit).split("\0"):
        head, _, path = entry.partition("\t")
        if head.startswith("160000 "):
            found.append((path, head.split()[2]))
    urls = _urls(part) if found else {}
    return [Link(path, commit, urls.get(path, "")) for path, commit in found]


def _urls(part: Part) -> dict[str, str]:
    """Return what .gitmodules says: path → URL."""
    if not part.git.run("ls-tree", "-z", part.commit, ".gitmodules"):
        return {}
    try:
        said = part.git.run(
            "config", "-z", f"--blob={part.commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$"
        )
    except GitFailed as error:
        if not error.output.strip():
            return {}
        raise errors.GiveUp(f"{part.prefix}.gitmodules can't be read: {error.last_line()}; mend it") from error
    values: dict[str, dict[str, str]] = {}
    for pair in said.split("\0"):
        key, _, value = pair.partition("\n")
        match = re.fullmatch(r"submodule\.(.*)\.(path|url)", key, re.DOTALL)
        if match:
            values.setdefault(match[1], {})[match[2]] = value
    return {each["path"].rstrip("/"): each["url"] for each in values.values() if len(each) == 2}


def _refuse_pointers(part: Part) -> None:
    """Refuse files that are in Git LFS: what the repository holds of them is a note of three lines."""
    if not _grep(part, "filter=lfs", ":(glob)**/.gitattributes"):
        return
    names = [part.prefix + name for name in _grep(part, _LFS, ":/")]
    if names:
        shown = ", ".join(repr(name) for name in names[:MAX_NAMED])
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        raise errors.GiveUp(
            f"the repository keeps files in Git LFS, which the platform does not fetch: {shown}{more}; commit their"
            " content, or run 'git lfs pull' and push the folder with: stackyard push DIR"
        )


def _grep(part: Part, pattern: str, pathspec: str) -> list[str]:
    try:
        found = part.git.run("grep", "-I", "-l", "-z", "-e", pattern, part.commit, "--", pathspec)
    except GitFailed as error:
        if error.output.strip():
            raise errors.GiveUp(f"git can't read commit {part.commit[:12]}: {error.last_line()}") from error
        return []
    return [name.partition(":")[2] for name in found.split("\0") if name]


def _copy(part: Part, target: gzip.GzipFile) -> None:
    with _archive(part) as stream:
        shutil.copyfileobj(stream, target, 1024 * 1024)


def _join(parts: Sequence[Part], target: gzip.GzipFile) -> None:
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as out:
        for part in parts:
            with _archive(part) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
                for entry in tar:
                    tar.members = []  # type: ignore[attr-defined]  # else every header stays in memory
                    entry.pax_headers = {}
                    out.addfile(entry, tar.extractfile(entry) if entry.isreg() else None)
                shutil.copyfileobj(stream, _Nothing())


class _Nothing:
    """Takes what follows a tar's end, so that git can finish writing it."""

    def write(self, data: bytes) -> int:
        """Forget the data."""
        return len(data)


@contextlib.contextmanager
def _archive(part: Part) -> Iterator[BinaryIO]:
    prefix = [f"--prefix={part.prefix}"] if part.prefix else []
    command = part.git.command("archive", "--format=tar", *prefix, part.commit)
    with subprocess.Popen(command, env=part.git.env(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        yield cast(BinaryIO, process.stdout)
    if process.returncode:
        raise errors.GiveUp(f"git could not read the tree of commit {part.commit[:12]}; is the repository damaged?")
