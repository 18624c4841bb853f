# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of the API: a call comes in, a route says who answers it, a reply goes out.

Handlers are plain functions from `Call` to `Reply`; they know no web framework.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Protocol

from oslo_config import cfg

from stackyard.api.faults import Fault
from stackyard.api.services import Services
from stackyard.api.versions import LOWEST, Range, Version
from stackyard.model.records import Caller

Schema = Mapping[str, Any]
Answers = Mapping[int, Schema | None]
"""Schemas of what is answered, by status; None: nothing."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A validated request. `target` is what the route's `find` found; `url` the family's public address.

    `headers` are the request's own, by any case of their names. `may(rule)` tells whether the caller fulfils a
    further rule of policy, for its own project.
    """

    services: Services
    caller: Caller
    url: str
    args: Mapping[str, str]
    query: Mapping[str, str]
    version: Version = LOWEST
    body: Any = None
    stream: BinaryIO | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    target: Any = None
    may: Callable[[str], bool] = lambda _: False


class Duplex(Protocol):
    """A connection in both directions, of messages of bytes and of text."""

    @property
    def gone(self) -> bool:
        """Tell whether the client has left, or the connection was ended."""

    def receive(self, timeout: float) -> bytes | str | None:
        """Return the next message; None when none came for so many seconds, or none will come any more."""

    def send(self, data: bytes | str) -> None:
        """Send a message; raises Unavailable when the client has gone."""

    def close(self) -> None:
        """End it; safe to be done twice."""


@dataclasses.dataclass(frozen=True)
class Reply:
    """What goes back: `data` as JSON (None: nothing), or `stream` of `content_type` piece by piece.

    With `duplex` the request becomes a connection in both directions (a WebSocket), which that function is given.
    """

    status: int = 200
    data: Any = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stream: Iterable[bytes] | None = None
    content_type: str = "application/json"
    duplex: Callable[[Duplex], None] | None = None


class Body(enum.Enum):
    """What a route reads from a request."""

    NONE = "none"
    JSON = "json"
    RAW = "raw"


@dataclasses.dataclass(frozen=True)
class Route:
    """One line of a family's table.

    `rule` is the policy rule (None: public). `find` looks up what the path names, so that policy can
    judge it; it raises NotFound for another project's. `query` lists the parameters known (None: any).
    `answers` is for the API's description. A route with an `option` is served where `[api]` says so. `fault` replaces
    the family's way to tell faults, for clients that speak another protocol.
    """

    method: str
    path: str
    handler: Callable[[Call], Reply]
    rule: str | None
    find: Callable[[Call], Any] | None = None
    schema: Schema | None = None
    body: Body = Body.NONE
    since: Version = LOWEST
    query: frozenset[str] | None = None
    answers: Answers = dataclasses.field(default_factory=dict)
    option: str | None = None
    fault: Callable[[Fault], Reply] | None = None


@dataclasses.dataclass(frozen=True)
class Family:
    """One API: its routes under `prefix`, its way to tell faults, its microversions if it has them.

    A path that does not begin with `implied` is taken as if it did. `error` is the schema of faults, `parameters`
    those of queries by name.
    """

    name: str
    prefix: str
    routes: tuple[Route, ...]
    fault: Callable[[Fault], Reply]
    versions: Range | None = None
    implied: str = ""
    error: Schema | None = None
    parameters: Mapping[str, Schema] = dataclasses.field(default_factory=dict)

    def served(self, conf: cfg.ConfigOpts) -> tuple[Route, ...]:
        """Return the routes that the options leave; of two with the same method and path the later one."""
        chosen = [route for route in self.routes if not route.option or conf.api[route.option]]
        return tuple({(route.method, route.path): route for route in chosen}.values())
