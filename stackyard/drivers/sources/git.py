# SPDX-License-Identifier: Apache-2.0
"""One revision of a git repository, fetched without a checkout, so that no code, hook or filter of it ever runs here.

Called by `archives`. Uses no configuration and no keys of the machine; only the four network transports are allowed.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from stackyard.model import errors
from stackyard.model.ports import Log
from stackyard.model.sources import TRANSPORTS, check_repository, check_revision, without_password

MAX_PACK_KIB = 2 * 1024 * 1024
_COMMIT = re.compile(r"[0-9a-f]{4,64}")
_PASSED_ON = (
    *("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
# The machine's own keys, agents and configuration must not open doors for a tenant.
_SSH = (
    "ssh -F /dev/null -oBatchMode=yes -oConnectTimeout=15 -oStrictHostKeyChecking=accept-new"
    " -oUserKnownHostsFile=/dev/null -oIdentityAgent=none -oIdentityFile=/dev/null -oLogLevel=ERROR"
)
_SETTINGS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "credential.helper=", "-c", "gc.auto=0"),
    *("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30", "-c", "advice.detachedHead=false"),
)


class Clone:
    """A bare repository in a folder of our own that holds the one revision."""

    def __init__(self, workspace: pathlib.Path, seconds: float, log: Log) -> None:
        self._git_dir = workspace / "repository.git"
        self._home = workspace
        self._deadline = time.monotonic() + seconds
        self._seconds = seconds
        self._log = log

    def fetch(self, repository: str, revision: str) -> str:
        """Fetch branch, tag or commit (empty: the default branch) and return its commit; raises GiveUp, BadInput."""
        check_repository(repository)
        check_revision(revision)
        self._log(f"Fetching {without_password(repository)} {revision or '(default branch)'}\n")
        self._git("init", "--quiet", "--bare", "--template=", str(self._git_dir))
        try:
            commit = self._shallow(repository, revision)
        except _GitFailed as error:
            commit = self._whole(repository, revision, error)
        subject = self._git("log", "-1", "--format=%h %s", commit).strip()
        self._log(f"Commit {subject[:200]}\n")
        return commit

    @contextlib.contextmanager
    def archive(self, commit: str) -> Iterator[BinaryIO]:
        """Yield the commit's tree as a gzip'd tar: the same commit gives the same bytes, all files, no submodules."""
        self._note_submodules(commit)
        attributes = self._git_dir / "info" / "attributes"
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text("* -export-ignore -export-subst\n")  # all files, as they are
        with tempfile.TemporaryFile(dir=self._home) as packed:
            command = self._command("archive", "--format=tar", commit)
            with (
                subprocess.Popen(command, env=self._env(), stdout=subprocess.PIPE) as process,
                gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=1, mtime=0) as target,
            ):
                shutil.copyfileobj(cast(BinaryIO, process.stdout), target, 1024 * 1024)
            if process.returncode:
                raise errors.GiveUp(f"git could not read the tree of commit {commit[:12]}; is the repository damaged?")
            packed.seek(0)
            yield packed

    def _shallow(self, repository: str, revision: str) -> str:
        self._git("fetch", "--quiet", "--depth=1", "--no-tags", *_NO_SUBMODULES, "--", repository, revision or "HEAD")
        return self._git("rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}").strip()

    def _whole(self, repository: str, revision: str, error: _GitFailed) -> str:
        """Fetch everything where a server can't give just this: abbreviated commits, old servers."""
        if not (_COMMIT.fullmatch(revision) or "shallow" in error.output):
            raise _plain(error, repository, revision)
        self._log("The server gives no single revision; fetching the whole history\n")
        try:
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/stackyard/head")
            self._git("fetch", "--quiet", *_NO_SUBMODULES, "--", repository, *refs)
            name = (revision or "refs/stackyard/head") + "^{commit}"
            return self._git("rev-parse", "--verify", "--end-of-options", name).strip()
        except _GitFailed as second:
            raise _plain(second, repository, revision) from error

    def _note_submodules(self, commit: str) -> None:
        with contextlib.suppress(_GitFailed):
            if self._git("ls-tree", "--name-only", commit, ".gitmodules").strip():
                self._log("Note: the repository has submodules; they are not fetched\n")

    def _command(self, *arguments: str) -> list[str]:
        return ["git", *_SETTINGS, f"--git-dir={self._git_dir}", *arguments]

    def _git(self, *arguments: str) -> str:
        # The shell's limit keeps one repository from filling the disk: git stops at the file size.
        limited = ["sh", "-c", f'ulimit -f {MAX_PACK_KIB * 2}; exec "$@"', "sh", *self._command(*arguments)]
        process = subprocess.Popen(
            limited,
            env=self._env(),
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, complaint = process.communicate(timeout=max(0.1, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise errors.GiveUp(
                f"git did not finish within {self._seconds:g} seconds; is the repository very large?"
            ) from None
        finally:
            _end(process)
        if process.returncode:
            raise _GitFailed(complaint, arguments)
        return output

    def _env(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return passed | {
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(TRANSPORTS),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_SSH_COMMAND": _SSH,
        }


_NO_SUBMODULES = ("--no-recurse-submodules", "--no-write-commit-graph")


class _GitFailed(Exception):
    def __init__(self, output: str, arguments: Sequence[str]) -> None:
        super().__init__(output)
        self.output = output
        self.arguments = arguments

    def last_line(self) -> str:
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        telling = [line for line in lines if line.lower().startswith(("fatal:", "error:", "remote:", "ssh:"))]
        return (telling or lines or ["git said nothing"])[-1]


def _plain(error: _GitFailed, repository: str, revision: str) -> errors.GiveUp:
    words = without_password(error.last_line().replace(repository, without_password(repository)))
    if "find remote ref" in error.output or "Needed a single revision" in error.output or "not our ref" in error.output:
        check = f"check that branch, tag or commit {revision or 'HEAD'!r} exists"
    elif "could not read Username" in error.output or "Authentication failed" in error.output:
        check = "check that it is public, or push the folder instead"
    else:
        check = "check the address, and that the repository is public and can be reached from the platform"
    return errors.GiveUp(f"git can't fetch {without_password(repository)}: {words}; {check}")


def _end(process: subprocess.Popen[str]) -> None:
    """Kill git with all its helpers; harmless when they have ended."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
