# SPDX-License-Identifier: Apache-2.0
"""One revision of a git repository, fetched without a checkout, so that no code, hook or filter of it ever runs here.

Called by `archives` and `repositories`. Only the four network transports are allowed, to addresses that `Gate` allows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import urllib.parse
from collections.abc import Iterator
from typing import BinaryIO

from stackyard.drivers.sources.addresses import Gate, Reach
from stackyard.drivers.sources.git_command import Git, GitFailed
from stackyard.drivers.sources.submodules import Gathering
from stackyard.drivers.sources.trees import Part, keep_all_files, packed
from stackyard.model import errors
from stackyard.model.ports import Log
from stackyard.model.sources import TRANSPORTS, check_repository, check_revision, without_password

MAX_REDIRECTS = 3
_COMMIT = re.compile(r"[0-9a-f]{4,64}")
_MOVED = re.compile(r"returned error: 30[12378]")
_LOCATION = re.compile(r"Recv header: location: (\S+)", re.IGNORECASE)
_INFO = "/info/refs?service=git-upload-pack"
_NO_SUBMODULES = ("--no-recurse-submodules", "--no-write-commit-graph")


@dataclasses.dataclass(frozen=True)
class Errand:
    """What all fetches of one source share: a folder of our own, the time left, which addresses are allowed."""

    workspace: pathlib.Path
    deadline: float
    seconds: float
    gate: Gate
    log: Log

    @contextlib.contextmanager
    def archive(self, repository: str, revision: str) -> Iterator[tuple[BinaryIO, str]]:
        """Yield the tree of a branch, tag or commit (empty: the default branch) as a gzip'd tar, and its commit."""
        check_repository(repository)
        check_revision(revision)
        self.log(f"Fetching {without_password(repository)} {revision or '(default branch)'}\n")
        clone = Clone(self, self.workspace / "repository.git")
        commit = clone.fetch(repository, revision)
        subject = clone.git.run("log", "-1", "--format=%h %s", commit).encode(errors="replace").decode().strip()
        self.log(f"Commit {subject[:200]}\n")
        with self.gathered(Part(clone.git, commit), repository) as stream:
            yield stream, commit

    @contextlib.contextmanager
    def gathered(self, part: Part, url: str) -> Iterator[BinaryIO]:
        """Yield a commit's files with those of its submodules; `url` is what relative ones are relative to."""
        gathering = Gathering(self.workspace, self._module, self.log)
        gathering.add(part, url)
        with packed(gathering.parts, self.workspace) as stream:
            yield stream

    def _module(self, folder: pathlib.Path, url: str, commit: str) -> Git:
        clone = Clone(self, folder)
        clone.fetch(url, commit)
        return clone.git


class Clone:
    """A bare repository in a folder of our own that holds the one revision."""

    def __init__(self, errand: Errand, folder: pathlib.Path) -> None:
        self._errand = errand
        self.git = Git(folder, errand.workspace, errand.deadline, errand.seconds, TRANSPORTS)

    def fetch(self, repository: str, revision: str) -> str:
        """Fetch branch, tag or commit (empty: the default branch) and return its commit; raises GiveUp."""
        self.git.run("init", "--quiet", "--bare", "--template=", str(self.git.git_dir))
        keep_all_files(self.git.git_dir)
        for _ in range(MAX_REDIRECTS):
            reach = self._errand.gate.reach(repository)
            try:
                return self._fetch(reach, repository, revision)
            except GitFailed as error:
                moved = self._moved(reach, repository) if _MOVED.search(error.output) else ""
                if not moved:
                    raise _plain(error, repository, revision) from error
                self._errand.log(f"{without_password(repository)} leads to {without_password(moved)}\n")
                repository = moved
        raise errors.GiveUp(
            f"git can't fetch {without_password(repository)}: it leads on and on; give the last address"
        )

    def _fetch(self, reach: Reach, repository: str, revision: str) -> str:
        try:
            return self._shallow(reach, revision)
        except GitFailed as error:
            # Not all servers can give just this: abbreviated commits, old servers
            if not (_COMMIT.fullmatch(revision) or "shallow" in error.output) or _MOVED.search(error.output):
                raise
            self._errand.log("The server gives no single revision; fetching the whole history\n")
            return self._whole(reach, revision)

    def _shallow(self, reach: Reach, revision: str) -> str:
        self._reached(reach, "--depth=1", "--no-tags", *_NO_SUBMODULES, "--", reach.url, revision or "HEAD")
        return self.git.run("rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").strip()

    def _whole(self, reach: Reach, revision: str) -> str:
        refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/stackyard/head")
        self._reached(reach, *_NO_SUBMODULES, "--", reach.url, *refs)
        name = (revision or "refs/stackyard/head") + "^{commit}"
        return self.git.run("rev-parse", "--verify", "--end-of-options", name).strip()

    def _reached(self, reach: Reach, *arguments: str) -> None:
        self.git.run("fetch", "--quiet", *arguments, settings=reach.settings, extra=reach.extra)

    def _moved(self, reach: Reach, repository: str) -> str:
        """Return where a server sends us; the next address is judged like the first."""
        said = {**reach.extra, "GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"}
        try:
            self.git.run("ls-remote", reach.url, "HEAD", settings=reach.settings, extra=said)
        except GitFailed as error:
            found = _LOCATION.search(error.output)
            return _target(repository, found[1]) if found else ""
        return ""


def _target(repository: str, location: str) -> str:
    """Return the repository that a redirect of its `info/refs` means; a login stays with its own host."""
    there = urllib.parse.urlsplit(urllib.parse.urljoin(f"{repository.rstrip('/')}{_INFO}", location))
    here = urllib.parse.urlsplit(repository)
    login = here.netloc.rpartition("@")[0]
    url = there.geturl().removesuffix(_INFO)
    if login and there.hostname == here.hostname and there.scheme in ("https", here.scheme):
        url = url.replace("://", f"://{login}@", 1)
    check_repository(url)
    return url


def _plain(error: GitFailed, repository: str, revision: str) -> errors.GiveUp:
    words = without_password(error.last_line().replace(repository, without_password(repository)))
    if "find remote ref" in error.output or "Needed a single revision" in error.output or "not our ref" in error.output:
        check = f"check that branch, tag or commit {revision or 'HEAD'!r} exists"
    elif "could not read Username" in error.output or "Authentication failed" in error.output:
        check = "check that it is public, or push the folder instead"
    else:
        check = "check the address, and that the repository is public and can be reached from the platform"
    return errors.GiveUp(f"git can't fetch {without_password(repository)}: {words}; {check}")
