# SPDX-License-Identifier: Apache-2.0
"""Log lines, how far a reader has come in them, and the times that people name.

Used by the drivers of workloads and logs, by the collector and by the API; pure.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from stackyard.model import errors

Mark = tuple[str, int]
_TIME_LENGTH = len("2006-01-02T15:04:05.000000000Z")
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)")
EXAMPLE = "a time such as 2026-01-31T14:00:00Z, or how long ago, such as 10m or 2h"


@dataclasses.dataclass(frozen=True)
class LogLine:
    """One line of a container: `at` is the engine's own RFC 3339 time in UTC with nine digits of the second.

    `source` tells containers apart; the times of one stream of one source never go back. A line is `late` when
    a newer one had been let through before it came.
    """

    at: str
    service: str
    replica: str
    stream: str
    text: str
    source: str = ""
    late: bool = False


class Marks:
    """How far somebody has come in each stream of each source: the last line's time, and how many lines had it."""

    def __init__(self, marks: Mapping[str, Iterable[str | int]] | None = None) -> None:
        self._marks: dict[str, Mark] = {}
        for key, (at, count) in (marks or {}).items():
            self._marks[key] = (str(at), int(count))

    def __bool__(self) -> bool:
        return bool(self._marks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self._marks == other._marks

    __hash__ = None  # type: ignore[assignment]

    def advance(self, line: LogLine) -> None:
        """Note that this line has been passed."""
        key = _key(line)
        at, count = self._marks.get(key, ("", 0))
        self._marks[key] = (line.at, count + 1 if line.at == at else 1)

    def skips(self, line: LogLine) -> bool:
        """Tell whether a line read again had been passed; each is to be asked about once, in its stream's order."""
        key = _key(line)
        mark = self._marks.get(key)
        if mark is None or line.at > mark[0]:
            self._marks.pop(key, None)
            return False
        if line.at == mark[0]:
            self._marks[key] = (mark[0], mark[1] - 1)
            if mark[1] <= 1:
                del self._marks[key]
        return True

    def of(self, source: str) -> Marks:
        """Return the marks of one source."""
        prefix = f"{source}/"
        return Marks({key: mark for key, mark in self._marks.items() if key.startswith(prefix)})

    def then(self, more: Marks) -> Marks:
        """Return where one is who has passed `more` behind these."""
        joined = dict(self._marks)
        for key, (at, count) in more._marks.items():
            before = joined.get(key, ("", 0))
            joined[key] = (at, count + before[1] if at == before[0] else count)
        return Marks(joined)

    def covers(self, other: Marks) -> bool:
        """Tell whether everything that the other has passed is passed here."""
        return all(self._marks.get(key, ("", 0)) >= mark for key, mark in other._marks.items())

    def newest(self) -> str:
        """Return the time of the newest line passed ("" for none)."""
        return max((at for at, _ in self._marks.values()), default="")

    def trimmed(self, count: int) -> Marks:
        """Return only the newest marks."""
        kept = sorted(self._marks.items(), key=lambda each: each[1][0])[-count:]
        return Marks(dict(kept))

    def copy(self) -> Marks:
        """Return marks of their own."""
        return Marks(self._marks)

    def as_dict(self) -> dict[str, Mark]:
        """Return what a Marks is made of, as JSON knows it."""
        return dict(self._marks)


def _key(line: LogLine) -> str:
    return f"{line.source or line.replica}/{line.stream}"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """How far the kept lines go: `position` behind the last one, its time (the newest there was), and all marks."""

    position: int = 0
    last: str = ""
    marks: Marks = dataclasses.field(default_factory=Marks)


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in an application's log: behind `position` of what is kept, and behind `marks` of what is not yet."""

    position: int = 0
    marks: Marks = dataclasses.field(default_factory=Marks)

    def cursor(self) -> str:
        """Return the place as opaque text."""
        parts = [self.position, self.marks.as_dict()] if self.marks else [self.position]
        return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def at(cls, cursor: str) -> Place:
        """Return the place of a cursor; raises BadInput for what is none."""
        try:
            position, *rest = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if not isinstance(position, int) or position < 0:
                raise ValueError(position)
            return cls(position, Marks(*rest))
        except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
            raise errors.BadInput("cursor must be the `cursor` of a line, as it was given") from None


def late(lines: Iterable[LogLine], last: str) -> Iterator[LogLine]:
    """Yield the lines, those marked late that are older than one before them, `last` being the newest so far."""
    for line in lines:
        if line.at < last:
            yield dataclasses.replace(line, late=True)
        else:
            last = line.at
            yield line


def exact(at: str) -> str:
    """Return an RFC 3339 time in UTC with nine digits of the second, so that texts compare as times."""
    if len(at) == _TIME_LENGTH:
        return at
    whole, _, fraction = at.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def stamp(seconds: float) -> str:
    """Return a time of the epoch as `exact` text."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


def moment(given: str, now: float, name: str = "since") -> str:
    """Return a time that somebody named (RFC 3339, or a duration before `now`) as `exact` text; raises BadInput."""
    try:
        if duration := re.fullmatch(rf"(?:{_DURATION.pattern})+", given):
            parts = _DURATION.findall(duration.group())
            return stamp(now - sum(float(number) * _SECONDS[unit] for number, unit in parts))
        if match := _RFC_3339.fullmatch(given):
            whole, fraction, zone = match.groups()
            base = datetime.datetime.fromisoformat(whole.upper() + zone.upper().replace("Z", "+00:00"))
            utc = base.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
            return f"{utc.zfill(19)}.{fraction or '':0<9}Z"
    except (ValueError, OverflowError, OSError):
        pass
    raise errors.BadInput(f"{name} must be {EXAMPLE}; not '{given[:40]}'")
