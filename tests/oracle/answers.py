# SPDX-License-Identifier: Apache-2.0
"""Answers as clients see them, and the differences between two of them.

Ids, times, addresses and certificates are replaced by words first, since they differ by nature. Of the texts of
errors only is compared whether there is one: no client reads the words.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

HEADERS = (
    "Content-Type",
    "Location",
    "OpenStack-API-Version",
    "OpenStack-API-Minimum-Version",
    "OpenStack-API-Maximum-Version",
    "Vary",
    "X-OpenStack-Request-Id",
)
_WORDS = (
    (re.compile(r"req-[0-9a-f-]{36}"), "<request>"),
    (re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----(\\n)*", re.DOTALL), "<certificate>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00"), "<time>"),
    (re.compile(r'"[a-z]+-\d+-(cluster|template)"'), r'"<generated>-\1"'),
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """Status, the headers that clients read, and the body (None: empty; text where it is no JSON)."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclasses.dataclass(frozen=True)
class Difference:
    """One place where the answers differ: `where` is `status`, `header NAME` or a path in the body."""

    where: str
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.where}: Magnum {_short(self.theirs)}, here {_short(self.ours)}"


class Absent:
    """Stands for what is not there, where None would mean null."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = Absent()


def answer(status: int, headers: Mapping[str, str], data: bytes, base: str, kept: Mapping[str, str]) -> Answer:
    """Return an answer in words; `base` is the server's own address and `kept` the ids that have names."""
    found = {name: _worded(headers[name], base, kept) for name in HEADERS if name in headers}
    text = _worded(data.decode(), base, kept)
    return Answer(status, found, _parsed(text))


def differences(theirs: Answer, ours: Answer) -> Iterator[Difference]:
    """Yield where two answers differ; bodies of different statuses have nothing in common."""
    for name in HEADERS:
        left, right = theirs.headers.get(name, ABSENT), ours.headers.get(name, ABSENT)
        if name != "Content-Type" or theirs.status == ours.status:
            yield from _plain(f"header {name}", left, right)
    yield from _plain("status", theirs.status, ours.status)
    if theirs.status == ours.status:
        yield from _values("body", _judged(theirs), _judged(ours))


def _judged(of: Answer) -> Any:
    """Return a body with the texts of errors replaced by whether they are there."""
    if of.status < 400 or not isinstance(of.body, dict):
        return of.body
    errors = [
        {name: bool(value) if name in ("title", "detail") else value for name, value in error.items()}
        for error in of.body.get("errors", [])
    ]
    return {**of.body, "errors": errors}


def _values(where: str, theirs: Any, ours: Any) -> Iterator[Difference]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted({*theirs, *ours}):
            yield from _values(f"{where}.{name}", theirs.get(name, ABSENT), ours.get(name, ABSENT))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for left, right in zip(theirs, ours, strict=True):
            yield from _values(f"{where}[]", left, right)
    else:
        yield from _plain(where, theirs, ours)


def _plain(where: str, theirs: Any, ours: Any) -> Iterator[Difference]:
    if theirs != ours or type(theirs) is not type(ours):
        yield Difference(where, theirs, ours)


def _worded(text: str, base: str, kept: Mapping[str, str]) -> str:
    text = text.replace(base, "")
    for name, value in kept.items():
        text = text.replace(value, f"${name}")
    for pattern, word in _WORDS:
        text = pattern.sub(word, text)
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) < 160 else repr(value)[:160] + "…"
