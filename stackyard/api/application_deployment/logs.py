# SPDX-License-Identifier: Apache-2.0
"""Requests for text that may still grow: the output of a push, the logs of an application.

Called through the table of routes. A followed stream holds one thread of the API until its reader goes away,
so a silent one writes a blank now and then: only writing tells that the reader has gone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, runtime_checkable

from stackyard.api.call import Call, Reply
from stackyard.model import errors
from stackyard.model.builds import Build
from stackyard.model.ports import LogLine

QUERY = frozenset({"follow", "timestamps", "tail", "service"})
OUTPUT_QUERY = frozenset({"follow", "offset"})
TRUE = ("1", "true", "yes")
LOOK_SECONDS = 0.08
SIGN_OF_LIFE_SECONDS = 10.0
NDJSON = "application/x-ndjson"
# Proxies must not hold back what is meant to be seen at once.
UNBUFFERED = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}

Pieces = Callable[[Build, int], tuple[Iterable[tuple[int, str]], bool]]


@runtime_checkable
class Pollable(Protocol):
    """A stream of lines that can be asked with patience, as followed logs are."""

    def poll(self, timeout: float) -> list[LogLine]:
        """Return the lines that are due, waiting up to `timeout` seconds for the first."""

    def close(self) -> None:
        """End the reading."""


def output(call: Call) -> Reply:
    """Send the output of a push from byte `offset` on; with `follow`, until the push has ended."""
    build = call.services.intents.builds.find(call.target, call.args["workflow"])
    text = _grown(call.services.intents.builds.output, build, follow=_true(call, "follow"))
    pieces = _from_byte(text, _number(call, "offset") or 0)
    return Reply(stream=pieces, content_type="text/plain; charset=utf-8", headers=UNBUFFERED)


def lines(call: Call) -> Reply:
    """Send the lines of all replicas in order of time, one JSON object a line."""
    tail, service, follow = _number(call, "tail"), call.query.get("service") or None, _true(call, "follow")
    cluster = call.services.intents.deployments.place(call.target)
    if cluster is None or not cluster.observed.nodes:
        return Reply(stream=(), content_type=NDJSON, headers=UNBUFFERED)
    _check_service(call, service)
    access = call.services.access(cluster)
    found = call.services.workloads.logs(access, call.target.id, follow=follow, tail=tail, service=service)
    stream = _followed(found, lambda: _there(call)) if isinstance(found, Pollable) else _first_now(found)
    return Reply(stream=stream, content_type=NDJSON, headers=UNBUFFERED)


def _grown(pieces: Pieces, build: Build, *, follow: bool) -> Iterator[str]:
    start = 0
    while True:
        found, growing = pieces(build, start)
        for number, text in found:
            start = number + 1
            yield text
        if not (follow and growing):
            return
        time.sleep(LOOK_SECONDS)


def _from_byte(texts: Iterator[str], offset: int) -> Iterator[bytes]:
    for text in texts:
        data = text.encode()
        if offset >= len(data):
            offset -= len(data)
            continue
        yield data[offset:]
        offset = 0


def _first_now(found: Iterator[LogLine]) -> Iterator[bytes]:
    """Read the first line before anything is sent: what is wrong is then told as a fault."""
    first = next(found, None)

    def rest() -> Iterator[bytes]:
        if first is not None:
            yield _ndjson(first)
        for line in found:
            yield _ndjson(line)

    return rest()


def _followed(found: Pollable, there: Callable[[], bool]) -> Iterator[bytes]:
    try:
        while True:
            due = found.poll(SIGN_OF_LIFE_SECONDS)
            if not due and not there():
                return
            yield b"".join(map(_ndjson, due)) or b"\n"
    finally:
        found.close()


def _there(call: Call) -> bool:
    """Tell whether the application still is: the log of one that is destroyed has an end."""
    try:
        call.services.intents.applications.find(call.caller, call.target.id)
    except errors.NotFound:
        return False
    return True


def _ndjson(line: LogLine) -> bytes:
    told = {
        "at": line.at,
        "service": line.service,
        "replica": line.replica,
        "stream": line.stream,
        "text": line.text,
    }
    return json.dumps(told, ensure_ascii=False).encode(errors="replace") + b"\n"


def _check_service(call: Call, service: str | None) -> None:
    known = call.services.intents.applications.services(call.target)
    if service is not None and known and service not in known:
        raise errors.BadInput(f"there is no service '{service[:63]}'; there are: {', '.join(known)}")


def _true(call: Call, name: str) -> bool:
    return call.query.get(name, "").lower() in TRUE


def _number(call: Call, name: str) -> int | None:
    given = call.query.get(name)
    if given is None or given == "":
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise errors.BadInput(f"{name} must be a number from 0 on")
    return int(given)
