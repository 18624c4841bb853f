# SPDX-License-Identifier: Apache-2.0
"""The words of a story: requests that both servers are asked in turn, and what happens between them."""

from __future__ import annotations

import dataclasses
import json
import string
from collections.abc import Mapping
from typing import Any

WHO = {
    "member": "ann@demo:member,reader",
    "colleague": "bob@demo:member,reader",
    "reader": "ron@demo:reader",
    "nothing": "nat@demo:",
    "other": "oli@other:member,reader",
    "admin": "adm@ops:admin,member,reader",
}


@dataclasses.dataclass(frozen=True)
class Ask:
    """A request. `$name` in path and body is an id that an earlier answer was kept as (`keep`).

    `version` is a number (sent as `container-infra 1.9`) or a whole header; a body of bytes is sent as it is.
    """

    method: str
    path: str
    body: Any = None
    who: str = "member"
    version: str | None = None
    keep: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(filter(None, [self.method, self.path, self.version and f"({self.version})", f"by {self.who}"]))

    def sent(self, kept: Mapping[str, str]) -> tuple[str, bytes, dict[str, str]]:
        """Return path, body and headers with the kept ids in place."""
        headers = dict(self.headers)
        if self.version is not None:
            spoken = self.version if " " in self.version else f"container-infra {self.version}"
            headers["OpenStack-API-Version"] = spoken
        if self.body is not None:
            headers.setdefault("Content-Type", "application/json")
        return _filled(self.path, kept), self._data(kept), headers

    def _data(self, kept: Mapping[str, str]) -> bytes:
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        return _filled(json.dumps(self.body), kept).encode()


@dataclasses.dataclass(frozen=True)
class Order:
    """Something that a driver or an operator does: see `magnum_server.ORDERS`."""

    name: str
    arguments: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return f"order {self.name}"


Step = Ask | Order
Story = list[Step]


def reach(cluster: str) -> Order:
    """Let the driver have done what was asked of a cluster."""
    return Order("reach", {"uuid": f"${cluster}"})


def fail(cluster: str, reason: str = "no space left") -> Order:
    """Let the driver give up what was asked of a cluster."""
    return Order("fail", {"uuid": f"${cluster}", "reason": reason})


def filled(arguments: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """Return an order's arguments with the kept ids in place."""
    return {name: _filled(value, kept) for name, value in arguments.items()}


def _filled(text: str, kept: Mapping[str, str]) -> str:
    return string.Template(text).safe_substitute(kept)
