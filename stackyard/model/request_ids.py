# SPDX-License-Identifier: Apache-2.0
"""Which log lines belong to one OpenStack request, across all services that worked for it.

Used by the API's reading of logs; pure. oslo.log's lines say `TIME PID LEVEL LOGGER [GLOBAL LOCAL who …] text`: LOCAL
is the service's own id of the request, GLOBAL (or `None`) the one that the calling service had. So a GLOBAL id joins
what all services did; the lines of a traceback have neither, but time, process and logger of their record.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from stackyard.model import errors
from stackyard.model.logs import LogLine

_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_RECORD = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?P<process>\d+) [A-Z]+ (?P<logger>\S+) "
    r"(?:\[(?P<ids>(?:None|-|req-)[^\]]*)\])?"
)
_ACCESS = re.compile(r"[A-Z]+ /\S* \d{3} ")

Head = tuple[str, str]
"""Time and logger of a record; with its process, it tells a record from all others of its container."""


def checked(given: str) -> str:
    """Return an id as OpenStack's services write it (oslo.context); raises BadInput for what is none."""
    if not _ID.fullmatch(given.lower()):
        raise errors.BadInput("request must be an OpenStack request id: req- and a UUID")
    return given.lower()


class Chain:
    """Tells which lines belong to a request; to be asked about lines in their order.

    What it has been shown before (`learn`) is known from the first line on; links that are seen later count from then.
    """

    def __init__(self, request: str) -> None:
        self.ids = {request}
        self._records: dict[str, _Records] = {}

    def learn(self, lines: Iterable[LogLine]) -> None:
        """Find the ids that other services had for the request in lines that are there already."""
        links = {pair for line in lines if "[req-" in line.text and (pair := _linked(line.text))}
        grown = 0
        while grown != len(self.ids):
            grown = len(self.ids)
            for pair in links:
                self._join(pair)

    def __call__(self, line: LogLine) -> bool:
        """Tell whether a line belongs to the request: it names one of its ids, or goes on with a line that does."""
        named = "req-" in line.text and not self.ids.isdisjoint(_ID.findall(line.text))
        if named and (pair := _linked(line.text)):
            self._join(pair)
        source = f"{line.source or line.replica}/{line.stream}"
        return self._records.setdefault(source, _Records()).belongs(line.text, named)

    def _join(self, pair: tuple[str, str]) -> None:
        if not self.ids.isdisjoint(pair):
            self.ids.update(pair)


def _linked(text: str) -> tuple[str, str] | None:
    """Return the global and the local id of a record that has both."""
    found = _RECORD.match(text)
    words = (found["ids"] or "").split() if found else []
    if len(words) > 1 and _ID.fullmatch(words[0]) and _ID.fullmatch(words[1]):
        return words[0], words[1]
    return None


class _Records:
    """The records of one stream of one container, each of which may have several lines."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Head, bool]] = {}
        self._belongs = False

    def belongs(self, text: str, named: bool) -> bool:
        """Tell whether a line belongs, one that is `named` or of a record that is."""
        found = _RECORD.match(text)
        if found is None:
            # A message of several lines has its head only once; what a web server says of itself goes on with nothing.
            return named or (self._belongs and not _ACCESS.match(text))
        process, head = found["process"], (found["at"], found["logger"])
        begun, belonged = self._last.get(process, (("", ""), False))
        goes_on = found["ids"] is None and begun == head
        self._belongs = named or (goes_on and belonged)
        self._last[process] = (head, self._belongs)
        return self._belongs
