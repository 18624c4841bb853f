# SPDX-License-Identifier: Apache-2.0
"""Health checks of a Compose file's services: `x-stackyard: {health: {http: /ready}}`, `{tcp: true}`, `{command: ...}`.

Called by `compose`, and by `detect` once ports are known; raises only BadInput.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackyard.drivers.builders import quantities
from stackyard.model import errors
from stackyard.model.applications import HealthCheck, Service, Stage

KINDS = ("http", "tcp", "command")
TIMES = {"interval": 10.0, "timeout": 5.0, "start_period": 30.0}
"""Seconds where nothing is said. They are shorter than Compose's: what is asked over the network costs little."""
RETRIES = 3
SHORTEST = 0.1
EXAMPLE = "write for example {http: /ready, interval: 5s}"
_PATH = re.compile(r"/[\x21-\x7e]*")


def health(asked: Any, beside: HealthCheck | None, service: str) -> HealthCheck | None:
    """Return a service's check: what its `x-stackyard.health` asks for, else `beside`, its Compose healthcheck."""
    if asked is None:
        return beside
    where = f"x-stackyard.health of service {service!r}"
    if not isinstance(asked, dict):
        raise errors.BadInput(f"{where} must be a mapping; {EXAMPLE}")
    if beside is not None:
        raise errors.BadInput(f"{where} stands beside healthcheck; a service has one of them")
    _check_keys(asked, where)
    kind = next(kind for kind in KINDS if kind in asked)
    return dataclasses.replace(
        _asked(kind, asked[kind], where),
        interval=_seconds(asked, "interval", where),
        timeout=_seconds(asked, "timeout", where),
        start_period=_seconds(asked, "start_period", where),
        retries=_retries(asked, where),
    )


def check_ports(services: Sequence[Service]) -> None:
    """Raise for services that shall be asked over the network and listen on no port."""
    for service in services:
        check = service.healthcheck
        if check is None or not (check.http or check.tcp):
            continue
        kind = "http" if check.http else "tcp"
        where = f"x-stackyard.health.{kind} of service {service.name!r}"
        if service.stage is not Stage.RUN:
            raise errors.BadInput(f"{where}: the service does not go on running, so there is nothing to ask; remove it")
        if service.port is None:
            raise errors.BadInput(
                f"{where}: the service has no port that could be asked;"
                ' add for example ports: ["8000"], or check with {command: ...}'
            )


def _check_keys(asked: Mapping[str, Any], where: str) -> None:
    known = (*KINDS, *TIMES, "retries")
    unknown = [str(key) for key in asked if key not in known]
    if unknown:
        raise errors.BadInput(f"{where}: unknown key {unknown[0][:40]!r}; there are {', '.join(known)}")
    kinds = [kind for kind in KINDS if kind in asked]
    if len(kinds) != 1:
        said = f"has {' and '.join(kinds)}" if kinds else "says nothing to check"
        raise errors.BadInput(f"{where} {said}; give it one of {', '.join(KINDS)}: {EXAMPLE}")


def _asked(kind: str, value: Any, where: str) -> HealthCheck:
    """Return a check that says what is asked."""
    if kind == "http":
        if not isinstance(value, str) or not _PATH.fullmatch(value):
            raise errors.BadInput(f"{where}: http must be a path that begins with '/', not {str(value)[:80]!r}")
        return HealthCheck(http=value)
    if kind == "tcp":
        if value is not True:
            raise errors.BadInput(
                f"{where}: tcp must be true; for no check at all write healthcheck: {{disable: true}}"
            )
        return HealthCheck(tcp=True)
    if isinstance(value, str) and value.strip():
        return HealthCheck(("CMD-SHELL", value))
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return HealthCheck(("CMD", *value))
    raise errors.BadInput(f"{where}: command must be a string, which a shell runs, or a list of strings")


def _seconds(asked: Mapping[str, Any], key: str, where: str) -> float:
    if key not in asked:
        return TIMES[key]
    if not isinstance(asked[key], str):
        raise errors.BadInput(f"{where}: {key} must be a duration such as 10s, not {str(asked[key])[:40]!r}")
    found = quantities.seconds(asked[key], f"{where}: {key}")
    if found < SHORTEST and key != "start_period":
        raise errors.BadInput(f"{where}: {key} must be 100ms or longer, not {asked[key]!r}")
    return found


def _retries(asked: Mapping[str, Any], where: str) -> int:
    found = asked.get("retries", RETRIES)
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= 1000:
        raise errors.BadInput(f"{where}: retries must be a number from 1 to 1000, not {str(found)[:40]!r}")
    return found
