# SPDX-License-Identifier: Apache-2.0
"""Requests for text that may still grow: the output of a push, the logs of an application.

Called through the table of routes. A followed stream holds one thread of the API until its reader goes away,
so a silent one writes a blank now and then: only writing tells that the reader has gone.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator

from stackyard.api.application_deployment import environments
from stackyard.api.application_deployment.reading import Choice, Nodes, Reading
from stackyard.api.call import Call, Reply
from stackyard.drivers.routers import access
from stackyard.intents.hiding import Hiding
from stackyard.model import errors
from stackyard.model.applications import Deployment
from stackyard.model.builds import Build
from stackyard.model.logs import Checkpoint, LogLine, Place, moment
from stackyard.model.request_ids import Chain, checked

QUERY = environments.QUERY | {
    "follow",
    "timestamps",
    "tail",
    "service",
    "process",
    "replica",
    "since",
    "until",
    "cursor",
    "request",
}
OUTPUT_QUERY = frozenset({"follow", "offset"})
RUN = re.compile(r"run\.[0-9]+")
"""What lines of one-off commands carry."""
TRUE = ("1", "true", "yes")
LOOK_SECONDS = 0.08
SIGN_OF_LIFE_SECONDS = 10.0
NDJSON = "application/x-ndjson"
# Proxies must not hold back what is meant to be seen at once.
UNBUFFERED = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}

Pieces = Callable[[Build, int], tuple[Iterable[tuple[int, str]], bool]]


def output(call: Call) -> Reply:
    """Send the output of a push from byte `offset` on; with `follow`, until the push has ended."""
    build = call.services.intents.builds.find(call.target, call.args["workflow"])
    text = _grown(call.services.intents.builds.output, build, follow=_true(call, "follow"))
    pieces = _from_byte(text, _number(call, "offset") or 0)
    return Reply(stream=pieces, content_type="text/plain; charset=utf-8", headers=UNBUFFERED)


def lines(call: Call) -> Reply:
    """Send the lines of all replicas in order of time, one JSON object a line."""
    tail, follow, place = _number(call, "tail"), _true(call, "follow"), _place(call)
    of = environments.deployment(call)
    choice = _choice(call, of.environment)
    nodes = _nodes(call, of)
    reading = Reading(call.services.logs, of.workload_id, nodes, choice, place)
    hide = Hiding(call.services.store, call.services.secrets, of.id)
    if follow and nodes:
        stream = _followed(reading, tail, lambda: _there(call), hide)
    else:
        stream = (_ndjson(hide(line), place) for line, place in reading.so_far(tail))
    return Reply(stream=stream, content_type=NDJSON, headers=UNBUFFERED)


def _nodes(call: Call, of: Deployment) -> Nodes | None:
    """Return what reads the nodes of the environment's cluster; None while it has none, or before the first release."""
    access, workloads = environments.reach(call, of), call.services.workloads
    if access is None:
        return None

    def read(follow: bool, after: Checkpoint) -> Iterator[LogLine]:
        return workloads.logs(access, of.workload_id, follow=follow, after=after)

    return read


def _place(call: Call) -> Place:
    cursor = call.query.get("cursor")
    return Place.at(cursor) if cursor else Place()


def _choice(call: Call, environment: str) -> Choice:
    given, now = call.query, time.time()
    named = {given[name] for name in ("service", "process") if given.get(name)}
    if len(named) > 1:
        raise errors.BadInput("service and process are two names of the same; give one of them")
    services = frozenset(service for names in named for service in names.split(",") if service)
    _check_services(call, services, environment)
    since, until = (moment(given[name], now, name) if given.get(name) else "" for name in ("since", "until"))
    if since and until and since >= until:
        raise errors.BadInput("since must be before until")
    chain = Chain(checked(given["request"])) if given.get("request") else None
    return Choice(services, given.get("replica") or None, since, until, chain)


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


def _followed(reading: Reading, tail: int | None, there: Callable[[], bool], hide: Hiding) -> Iterator[bytes]:
    """Open what is followed at once, since what is wrong with it is told as a fault only before anything is sent."""
    shown, found = reading.follow(tail)

    def pieces() -> Iterator[bytes]:
        try:
            for line, place in shown:
                yield _ndjson(hide(line), place)
            while not found.over:
                due = found.poll(SIGN_OF_LIFE_SECONDS)
                if not due and not there():
                    return
                yield b"".join(_ndjson(hide(line), place) for line, place in due) or b"\n"
        finally:
            found.close()

    return pieces()


def _there(call: Call) -> bool:
    """Tell whether the environment still is: the log of one that is removed has an end."""
    try:
        call.services.intents.applications.find(call.caller, call.target.id)
        environments.deployment(call)
    except errors.NotFound:
        return False
    return True


def _ndjson(line: LogLine, place: Place) -> bytes:
    told = {
        "at": line.at,
        "service": line.service,
        "replica": line.replica,
        "stream": line.stream,
        "text": line.text,
        "late": line.late,
        "cursor": place.cursor(),
    }
    return json.dumps(told, ensure_ascii=False).encode(errors="replace") + b"\n"


def _check_services(call: Call, services: frozenset[str], environment: str) -> None:
    known = call.services.intents.applications.services(call.target, environment)
    for service in sorted(services - {access.SERVICE, *known}) if known else ():
        if not RUN.fullmatch(service):
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
