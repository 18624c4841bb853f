# SPDX-License-Identifier: Apache-2.0
"""One `git push` being received: git runs, and a hook of ours asks the judge before any ref is changed.

Called by `repositories`. The hook is four lines of shell that relay between git and a thread of this process over two
pipes: what has arrived goes out, lines for the client and the verdict come back. When this process dies, the pipes
break and git refuses the push.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, TextIO, cast

from stackyard.drivers.sources.archives import SourceFolder
from stackyard.drivers.sources.git_command import Git, GitFailed, end
from stackyard.drivers.sources.trees import Part
from stackyard.model import errors
from stackyard.model.ports import Log, Pushed, RefUpdate

LOG = logging.getLogger(__name__)

CHUNK = 65536
ASK, TELL = "STACKYARD_ASK", "STACKYARD_TELL"
# Pipes by their names in /dev/fd: a POSIX shell takes only numbers of one digit after < and >.
HOOK = f"""#!/bin/sh
{{ printf '%s\\n' "$GIT_QUARANTINE_PATH"; cat; echo end; }} >"/dev/fd/${ASK}"
while IFS= read -r line; do
  case $line in
    accept) exit 0 ;;
    refuse) exit 1 ;;
    *) printf '%s\\n' "${{line#:}}" ;;
  esac
done <"/dev/fd/${TELL}"
echo "the platform is gone; the push was refused, but what it began goes on"
exit 1
"""


class Streaming:
    """What a git process writes, piece by piece; when nobody reads on, it is read to its end all the same."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._process = process
        self._timer = threading.Timer(seconds, end, (process,))
        self._timer.daemon = True
        self._timer.start()

    @classmethod
    def of(cls, command: Sequence[str], environment: Mapping[str, str], stdin: BinaryIO, seconds: float) -> Streaming:
        """Start a process whose standard input is a file."""
        return cls(start(command, environment, stdin), seconds)

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece as soon as there is one."""
        stdout = cast(BinaryIO, self._process.stdout)
        piece = os.read(stdout.fileno(), CHUNK) if not stdout.closed else b""
        if piece:
            return piece
        self._finish()
        raise StopIteration

    def close(self) -> None:
        """Let the process come to its end without a reader. Called by the web server."""
        if self._process.stdout and not self._process.stdout.closed:
            threading.Thread(target=self._drain, name="git", daemon=True).start()

    def _drain(self) -> None:
        for _ in self:
            pass

    def _finish(self) -> None:
        self._process.wait()
        self._timer.cancel()
        cast(BinaryIO, self._process.stdout).close()


def start(
    command: Sequence[str], environment: Mapping[str, str], stdin: BinaryIO, passed: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start git in a session of its own."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=passed,
        start_new_session=True,
    )


class Reception:
    """A push being received into `git_dir`, judged by `judge` in a thread of its own."""

    def __init__(
        self, git_dir: pathlib.Path, sources: SourceFolder, judge: Callable[[Pushed], bool], seconds: float
    ) -> None:
        self._git_dir = git_dir
        self._sources = sources
        self._judge = judge
        self._seconds = seconds

    def begin(self, command: Sequence[str], environment: Mapping[str, str], spool: BinaryIO) -> Streaming:
        """Start git on what has come; return what it answers."""
        terminal = b" quiet" not in _capabilities(spool)  # git says `quiet` where nobody watches
        ask_read, ask_write = os.pipe()
        tell_read, tell_write = os.pipe()
        with os.fdopen(ask_write, "wb"), os.fdopen(tell_read, "rb"):
            known = {**environment, ASK: str(ask_write), TELL: str(tell_read)}
            process = start(command, known, spool, (ask_write, tell_read))
        asked = os.fdopen(ask_read, encoding="utf-8", errors="surrogateescape")
        told = os.fdopen(tell_write, "w", encoding="utf-8", errors="replace", buffering=1)
        threading.Thread(target=self._converse, args=(asked, told, terminal), name="push", daemon=True).start()
        return Streaming(process, self._seconds)

    def _converse(self, asked: TextIO, told: TextIO, terminal: bool) -> None:
        """Hear what has arrived, and say whether it may stay; a push without any change asks nothing."""
        with asked, told, contextlib.suppress(BrokenPipeError):
            if lines := _heard(asked):
                accepted = self._verdict(lines, told, terminal)
                told.write("accept\n" if accepted else "refuse\n")

    def _verdict(self, lines: Sequence[str], told: TextIO, terminal: bool) -> bool:
        def tell(text: str) -> None:
            for line in text.split("\n"):
                told.write(f":{line}\n")

        quarantine, *wanted = lines
        pushed = Pushed(tuple(map(_update, wanted)), terminal, self._archiver(quarantine), tell)
        try:
            return self._judge(pushed)
        except errors.StackyardError as error:
            tell(f"error: {error}")
        except BrokenPipeError:
            raise
        except Exception:
            LOG.exception("a push could not be judged")
            tell("error: something went wrong here; the platform's log tells more")
        return False

    def _archiver(self, quarantine: str) -> Callable[[str, Log], str]:
        """Return how to store the tree of a commit that is still kept apart from the repository."""
        extra = {
            "GIT_OBJECT_DIRECTORY": quarantine,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self._git_dir / "objects"),
        }
        git = Git(self._git_dir, self._git_dir, time.monotonic() + self._seconds, self._seconds, extra=extra)

        def archive(commit: str, log: Log) -> str:
            try:
                return self._sources.put_commit(Part(git, commit), log)
            except GitFailed as error:
                raise errors.GiveUp(f"git can't read commit {commit[:12]}: {error.last_line()}") from error

        return archive


def _heard(asked: TextIO) -> list[str]:
    """Return what the hook tells; nothing where git ended without calling it."""
    lines: list[str] = []
    for line in asked:
        if line == "end\n":
            return lines
        lines.append(line.rstrip("\n"))
    return []


def _capabilities(spool: BinaryIO) -> bytes:
    """Return what the client says of itself, which is in the first packet; empty where there is none."""
    try:
        size = int(spool.read(4), 16)
    except ValueError:
        size = 0
    first = spool.read(max(0, min(size, CHUNK) - 4))
    spool.seek(0)
    return first.partition(b"\0")[2]


def _update(line: str) -> RefUpdate:
    old, new, ref = line.split(" ", 2)
    return RefUpdate(ref, "" if not old.strip("0") else old, "" if not new.strip("0") else new)
