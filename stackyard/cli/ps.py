# SPDX-License-Identifier: Apache-2.0
"""`stackyard ps`: the replicas of an application, with what they use and why they are not well.

Also what other commands use to show replicas. Talks HTTP only.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote

Json = dict[str, Any]

COLUMNS = ("service", "replica", "state", "cpu", "memory", "age", "restarts", "release", "node", "reason")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
UNKNOWN = "-"


@click.command()
@click.argument("app")
@click.option("-a", "--all", "everything", is_flag=True, help="Those too that ended and have a successor.")
@output.env_option
@output.json_option
def ps(app: str, everything: bool, environment: str | None, as_json: bool) -> None:
    """List an application's replicas: state, use of CPU and memory (of its limit), age, node.

    CPU is a share of one core. In --json, memory is in bytes and cpu a share of one core (1.0: a whole one).
    """
    found = Session(SERVICE).get(f"/apps/{quote(app)}/processes", environment=environment, usage=1)
    if as_json:
        output.print_json(found)
        return
    shown = found if everything else current(found)
    output.print_table(COLUMNS, rows(shown, now()), "nothing runs yet")
    for line in loops(found):
        click.secho(line, fg="red")


def current(found: Sequence[Json]) -> list[Json]:
    """Return the replicas that live, and the newest end of those that have no successor."""
    newest: dict[tuple[Any, ...], Json] = {}
    for each in found:
        slot = (each["service"], each["release"], each["replica"])
        if slot not in newest or _rank(each) > _rank(newest[slot]):
            newest[slot] = each
    return list(newest.values())


def _rank(process: Json) -> tuple[bool, str]:
    return process["state"] != "exited", process["started_at"] or ""


def loops(found: Sequence[Json]) -> list[str]:
    """Return a line for each service that keeps restarting."""
    words = {each["service"]: each["loop"] for each in found if each.get("loop")}
    return [f"{service} is {loop}" for service, loop in words.items()]


def rows(found: Sequence[Json], at: datetime.datetime) -> list[Json]:
    """Return replicas as people read them."""
    return [
        {
            **each,
            "cpu": share(each["cpu"]),
            "memory": memory(each["memory"], each["memory_limit"]),
            "age": age(each["started_at"], at),
            "restarts": each["restarts"] or None,
        }
        for each in found
    ]


def share(cpu: float | None) -> str:
    """Return a share of one core in percent."""
    return UNKNOWN if cpu is None else f"{cpu * 100:.1f}%"


def memory(used: int | None, limit: int | None) -> str:
    """Return bytes used, of the limit where there is one."""
    if used is None:
        return UNKNOWN
    return f"{size(used)} of {size(limit)} ({100 * used / limit:.0f}%)" if limit else size(used)


def size(number: float) -> str:
    """Return a number of bytes with three digits and a unit."""
    unit = 0
    while number >= 1000 and unit < len(UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.3g} {UNITS[unit]}"


def age(since: str | None, at: datetime.datetime) -> str:
    """Return how long ago a time was, in its largest unit."""
    if not since:
        return UNKNOWN
    seconds = max(0, int((at - datetime.datetime.fromisoformat(since)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def now() -> datetime.datetime:
    """Return the present in UTC."""
    return datetime.datetime.now(datetime.UTC)
