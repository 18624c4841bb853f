# SPDX-License-Identifier: Apache-2.0
"""`stackyard top`: what the replicas of one application, or all applications of the project, use now.

On a terminal the table is drawn anew every two seconds; in a pipe each reading follows the one before. HTTP only.
"""

# ruff: noqa: PLC0415 -- importing rich costs as much as a whole API call, and pipes never need it

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.ps import UNKNOWN, current, loops, memory, now, rows, share
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.model import errors

SECONDS = 2.0
AT_ONCE = 8
REPLICA_COLUMNS = ("service", "replica", "state", "cpu", "memory", "age", "restarts", "node", "reason")
APP_COLUMNS = ("app", "replicas", "cpu", "memory", "req/s", "err/s", "p50", "p99", "restarts", "status", "reason")
NOT_ASKED: dict[str, Any] = {"requests": None, "errors": None, "p50": None, "p99": None}

Json = dict[str, Any]
Reading = list[Json]
Shape = tuple[tuple[str, ...], Callable[[Reading], list[Json]]]
"""The columns of a table, and what makes its rows of a reading."""


@click.command()
@click.argument("app", required=False)
@click.option("--once", is_flag=True, help="Print one reading and end.")
@output.env_option
@output.json_option
def top(app: str | None, once: bool, environment: str | None, as_json: bool) -> None:
    """Show live what the project's applications use, or the replicas of APP. Ctrl-C ends it.

    Refreshed every 2 seconds, also in a pipe. With --json, one reading a line (cpu: shares of a core, memory: bytes;
    requests and errors a second, p50 and p99 in ms, of the last 10 seconds).
    """
    session = Session(SERVICE)
    read = _replicas(session, app, environment) if app else _applications(session, environment)
    shape: Shape = (REPLICA_COLUMNS, _replica_rows) if app else (APP_COLUMNS, _app_rows)
    if once:
        _show(read(), shape, as_json=as_json)
    elif as_json or not sys.stdout.isatty():
        _stream(_readings(read), shape, as_json=as_json)
    else:
        _live(_readings(read), shape, app or "all applications")


def _replicas(session: Session, app: str, environment: str | None) -> Callable[[], Reading]:
    def read() -> Reading:
        found: Reading = session.get(f"/apps/{quote(app)}/processes", environment=environment, usage=1)
        return found

    return read


def _applications(session: Session, environment: str | None) -> Callable[[], Reading]:
    """Return what reads all applications, several at a time; one that can't be read says why."""

    def one(app: Json) -> Json:
        try:
            path = f"/apps/{app['uuid']}"
            found = session.get(f"{path}/processes", environment=environment, usage=1)
            asked = session.get(f"{path}/traffic", environment=environment)
        except errors.StackyardError as error:
            return {**_summary(app, [], NOT_ASKED), "reason": str(error)}
        return _summary(app, found, asked)

    def read() -> Reading:
        with ThreadPoolExecutor(AT_ONCE, "top") as pool:
            return list(pool.map(one, session.get("/apps")))

    return read


def _summary(app: Json, found: Reading, asked: Json) -> Json:
    living = [each for each in found if each["state"] != "exited"]
    measured = [each for each in living if each["memory"] is not None]
    return {
        "app": app["name"],
        "replicas": len(living),
        "running": sum(each["state"] == "running" for each in living),
        "cpu": round(sum(each["cpu"] or 0 for each in measured), 4) if measured else None,
        "memory": sum(each["memory"] for each in measured) if measured else None,
        **{key: asked[key] for key in NOT_ASKED},
        "restarts": sum(each["restarts"] for each in living),
        "status": app["status"],
        "reason": "; ".join(loops(found)) or app.get("status_reason") or "",
    }


def _readings(read: Callable[[], Reading]) -> Iterator[Reading]:
    """Yield a reading every two seconds; a platform that does not answer for a moment is asked again."""
    for number in itertools.count():
        began = time.monotonic()
        try:
            yield read()
        except errors.Unavailable:
            if not number:
                raise
        time.sleep(max(0.1, SECONDS - (time.monotonic() - began)))


def _replica_rows(found: Reading) -> list[Json]:
    return rows(current(found), now())


def _app_rows(found: Reading) -> list[Json]:
    return [
        {
            **each,
            "replicas": f"{each['running']}/{each['replicas']}",
            "cpu": share(each["cpu"]),
            "memory": memory(each["memory"], None) if each["memory"] is not None else UNKNOWN,
            "req/s": rate(each["requests"]),
            "err/s": rate(each["errors"]) if each["errors"] else None,
            "p50": milliseconds(each["p50"]),
            "p99": milliseconds(each["p99"]),
            "restarts": each["restarts"] or None,
            "reason": str(each["reason"]).partition("\n")[0],
        }
        for each in found
    ]


def rate(number: float | None) -> str:
    """Return a number of things a second in few digits."""
    if number is None:
        return UNKNOWN
    return f"{number:.1f}" if number < 100 else f"{number:.0f}"


def milliseconds(number: int | None) -> str:
    """Return a time in few digits; nothing where there was no request."""
    if number is None:
        return ""
    return f"{number} ms" if number < 1000 else f"{number / 1000:.1f} s"


def _show(found: Reading, shape: Shape, *, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    else:
        output.print_table(shape[0], shape[1](found), "nothing runs yet")


def _stream(readings: Iterator[Reading], shape: Shape, *, as_json: bool) -> None:
    for number, found in enumerate(readings):
        if as_json:
            output.print_line(found)
        else:
            click.echo(("\n" if number else "") + now().astimezone().isoformat(timespec="seconds"))
            _show(found, shape, as_json=False)
        sys.stdout.flush()


def _live(readings: Iterator[Reading], shape: Shape, title: str) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False, screen=True) as live:
        for found in readings:
            live.update(_picture(shape, found, title), refresh=True)


def _picture(shape: Shape, found: Reading, title: str) -> Any:
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble((title, "bold"), f"  {now().astimezone():%H:%M:%S}", ("  Ctrl-C ends", "dim"))
    table = output.rich_table(shape[0], shape[1](found)) if found else Text("nothing runs yet")
    return Group(head, table)
