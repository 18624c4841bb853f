# SPDX-License-Identifier: Apache-2.0
"""The output of a build on its way to the user: bounded, and its end kept for the failure's message.

Used by `engine_build` and `steps`.
"""

from __future__ import annotations

import collections
import re

from stackyard.model import errors
from stackyard.model.ports import Log

MAX_CHARACTERS = 10 * 1024 * 1024
TAIL_LINES = 15
MEMORY_LINES = 400
FLOOD = 5
"""A build that writes this many times what is kept of its output is ended."""
_LINE_COST = 500
"""Characters that a line counts for at least: the engine keeps each with a time, and writes it by itself."""
_MAX_LINE = 1000
_NOISE = re.compile(
    r"^ ---> (?:[0-9a-f]{12}|Running in [0-9a-f]+)$|^Removing intermediate container |^Successfully (?:built|tagged) "
    r"|^\[Warning\] One or more build-args"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class Output:
    """Takes text in pieces; passes whole lines on to the log."""

    def __init__(self, log: Log, limit: int = MAX_CHARACTERS) -> None:
        self._log = log
        self._left = limit
        self._limit = limit
        self._written = 0
        self._lines = 0
        self._part = ""
        self._memory: collections.deque[str] = collections.deque(maxlen=MEMORY_LINES)

    def write(self, text: str) -> None:
        """Take a piece, which may end within a line; raises GiveUp when there is no end to them."""
        self._written += len(text)
        self._lines += text.count("\n")
        if max(self._written, _LINE_COST * self._lines) > FLOOD * self._limit:
            raise errors.GiveUp(
                f"the build wrote {self._written} characters of output in {self._lines} lines and was stopped;"
                f" make it say less\nIts output ends:\n{self.tail()}"
            )
        *lines, self._part = (self._part + text).split("\n")
        for line in lines:
            self._line(line)
        if len(self._part) > 16 * _MAX_LINE:  # a line without end must not fill the memory
            self.finish()

    def finish(self) -> None:
        """Pass on what has no newline yet."""
        if self._part:
            self._line(self._part)
            self._part = ""

    def tail(self) -> str:
        """Return the last lines."""
        return "\n".join(list(self._memory)[-TAIL_LINES:])

    def memory(self) -> str:
        """Return more of the last lines, to look for known causes in."""
        return "\n".join(self._memory)

    def _line(self, line: str) -> None:
        line = _CONTROL.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]).rstrip()
        if _NOISE.search(line):
            return
        line = " (cached)" if line == " ---> Using cache" else line
        if line:
            self._memory.append(line[:_MAX_LINE])
        self._pass_on(line + "\n")

    def _pass_on(self, text: str) -> None:
        if self._left <= 0:
            return
        self._left -= len(text)
        if self._left > 0:
            self._log(text)
        else:
            self._log(f"… output beyond {self._limit} characters is left out\n")
