# SPDX-License-Identifier: Apache-2.0
"""`stackyard scale`, `rollback` and `config`: changes of what is served, waited for until they are.

Talks HTTP only; what is written as `web=3` or `KEY=VALUE` is read here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.model import errors

WAIT_SECONDS = 600.0

Json = dict[str, Any]

wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is served.")


@click.command()
@click.argument("app")
@click.argument("replicas", nargs=-1, required=True, metavar="SERVICE=N...")
@wait_option
@output.json_option
def scale(app: str, replicas: tuple[str, ...], wait: bool, as_json: bool) -> None:
    """Set the number of replicas: scale APP web=3."""
    asked = {service: _count(service, number) for service, number in pairs(replicas, "web=3").items()}
    session = Session(SERVICE)
    session.put(f"/apps/{quote(app)}/scale", asked)
    if wait:
        title = f"scale {app}: " + ", ".join(f"{service}={number}" for service, number in asked.items())
        with output.Progress(quiet=as_json).step(title) as detail:
            waiting.until(lambda: _scaled(session, app, asked, detail), title, WAIT_SECONDS)
    _show_processes(session, app, as_json=as_json)


def _count(service: str, number: str) -> int:
    if not number.isdigit():
        raise click.UsageError(f"{service}={number} is no number of replicas; write for example {service}=3")
    return int(number)


def _scaled(session: Session, app: str, asked: dict[str, int], detail: Callable[[str], None]) -> bool | None:
    """Return True when exactly the replicas asked for run; raises with the reason when the change failed."""
    status = session.get(f"/apps/{quote(app)}")
    if status["status"] == "ERROR":
        raise errors.StackyardError(status.get("status_reason") or f"{app} failed; see 'stackyard events {app}'")
    seen = session.get(f"/apps/{quote(app)}/processes")
    living = [each for each in seen if each["service"] in asked and each["state"] != "exited"]
    running = {
        service: sum(each["service"] == service and each["state"] == "running" for each in living) for service in asked
    }
    detail(", ".join(f"{service} {number} of {asked[service]}" for service, number in running.items()))
    reached = status["status"] == "DEPLOYMENT_COMPLETE" and running == asked
    return True if reached and len(living) == sum(asked.values()) else None


def _show_processes(session: Session, app: str, *, as_json: bool) -> None:
    columns = ("service", "replica", "state", "node", "release", "endpoint", "started_at", "reason")
    output.show(columns, session.get(f"/apps/{quote(app)}/processes"), as_json=as_json, empty="nothing runs yet")


@click.command()
@click.argument("app")
@click.argument("release", required=False, type=click.IntRange(min=1), metavar="[N]")
@wait_option
@output.json_option
def rollback(app: str, release: int | None, wait: bool, as_json: bool) -> None:
    """Serve an earlier release again, by default the one before."""
    session = Session(SERVICE)
    target = release or _one_before(session, app)
    answer = session.post(f"/apps/{quote(app)}/workflows", {"actions": ["deploy"], "du_id": str(target)})
    title = f"release {answer['release']} of {app}, with the content of release {target}"
    _finish(session, app, answer["release"], title, wait=wait, as_json=as_json)


def _one_before(session: Session, app: str) -> int:
    releases = session.get(f"/apps/{quote(app)}/releases")
    current = next((each["number"] for each in releases if each["current"]), 0)
    before: list[int] = [each["number"] for each in releases if each["number"] < current]
    if not before:
        raise errors.Conflict(f"{app} has no release before the one it serves; 'stackyard releases {app}' lists them")
    return max(before)


@click.command()
@click.argument("app")
@click.argument("words", nargs=-1, metavar="[set K=V... | unset K...]")
@wait_option
@output.json_option
def config(app: str, words: tuple[str, ...], wait: bool, as_json: bool) -> None:
    """Show, set and unset an application's environment.

    `set K` without a value takes it from this shell's environment, so that it shows in no list of processes.
    """
    session = Session(SERVICE)
    path = f"/apps/{quote(app)}/config"
    if not words:
        _show_config(session.get(path), as_json=as_json)
        return
    number = session.patch(path, _changes(words[0], words[1:]))["release"]
    if number is None:
        _show_config(session.get(path), as_json=as_json)
    else:
        _finish(session, app, number, f"release {number} of {app}, with the new config", wait=wait, as_json=as_json)


def _changes(verb: str, rest: Sequence[str]) -> dict[str, str | None]:
    if verb not in ("set", "unset") or not rest:
        raise click.UsageError("write: config APP, or config APP set K=V..., or config APP unset K...")
    if verb == "set":
        return {**pairs([word if "=" in word else _from_environment(word) for word in rest], "KEY=VALUE")}
    wrong = next((word for word in rest if "=" in word), None)
    if wrong:
        raise click.UsageError(f"unset takes names only, not {wrong.partition('=')[0]}=...")
    return dict.fromkeys(rest)


def _from_environment(key: str) -> str:
    if key not in os.environ:
        raise click.UsageError(f"{key} has no value: write {key}=VALUE, or export {key} first")
    return f"{key}={os.environ[key]}"


def _show_config(values: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        output.print_json(values)
    else:
        output.print_table(("key", "value"), [{"key": k, "value": v} for k, v in sorted(values.items())], "no config")


def pairs(words: Sequence[str], example: str) -> dict[str, str]:
    """Return NAME=VALUE words as a dict; raises UsageError for one that is none."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{word!r} is not of the form {example}")
        found[name] = value
    return found


def _finish(session: Session, app: str, number: int, title: str, *, wait: bool, as_json: bool) -> None:
    """Wait until the release is served, where asked, and tell so."""
    if wait:
        with output.Progress(quiet=as_json).step(title):
            status = waiting.until(lambda: _served(session, app, number), title, WAIT_SECONDS)
    else:
        status = session.get(f"/apps/{quote(app)}")
    if as_json:
        output.print_json({"app": app, "release": number, "serving": status["release"], "url": status.get("app_url")})
    else:
        click.echo(f"Release: {number}\nURL: {status.get('app_url') or 'none (no service publishes a port)'}")


def _served(session: Session, app: str, number: int) -> Json | None:
    """Return the application once it serves the release or a newer one; raises with the reason when that failed."""
    status: Json = session.get(f"/apps/{quote(app)}")
    if status["status"] == "ERROR":
        serving = status["release"]
        reason = status.get("status_reason") or "no reason given"
        raise errors.StackyardError(f"release {number} failed: {reason}; release {serving} goes on serving")
    return status if status["release"] >= number and status["status"] == "DEPLOYMENT_COMPLETE" else None
