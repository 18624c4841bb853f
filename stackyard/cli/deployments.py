# SPDX-License-Identifier: Apache-2.0
"""`stackyard scale`, `rollback` and `config`: changes of what is served, waited for until they are.

Talks HTTP only; what is written as `web=3` or `KEY=VALUE` is read here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from stackyard.cli import output, waiting
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote, with_query
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION

WAIT_SECONDS = 600.0

Json = dict[str, Any]

wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is served.")


@click.command()
@click.argument("app")
@click.argument("replicas", nargs=-1, required=True, metavar="SERVICE=N...")
@output.env_option
@wait_option
@output.json_option
def scale(app: str, replicas: tuple[str, ...], environment: str | None, wait: bool, as_json: bool) -> None:
    """Set the number of replicas: scale APP web=3."""
    asked = counts(replicas)
    session = Session(SERVICE)
    session.put(f"/apps/{quote(app)}/scale", asked, environment=environment)
    if wait:
        title = f"scale {app}: " + ", ".join(f"{service}={number}" for service, number in asked.items())
        with output.Progress(quiet=as_json).step(title) as detail:
            waiting.until(lambda: scaled(session, app, environment, asked, detail), title, WAIT_SECONDS)
    _show_processes(session, app, environment, as_json=as_json)


def counts(words: Sequence[str]) -> dict[str, int]:
    """Return SERVICE=N words as a dict; raises UsageError for one that is none."""
    return {service: _count(service, number) for service, number in pairs(words, "web=3").items()}


def _count(service: str, number: str) -> int:
    if not number.isdigit():
        raise click.UsageError(f"{service}={number} is no number of replicas; write for example {service}=3")
    return int(number)


def scaled(
    session: Session, app: str, environment: str | None, asked: dict[str, int], detail: Callable[[str], None]
) -> bool | None:
    """Return True when exactly the replicas asked for run; raises with the reason when the change failed."""
    status = session.get(f"/apps/{quote(app)}", environment=environment)
    if status["status"] == "ERROR":
        raise errors.StackyardError(status.get("status_reason") or f"{app} failed; see 'stackyard events {app}'")
    seen = session.get(f"/apps/{quote(app)}/processes", environment=environment)
    living = [each for each in seen if each["service"] in asked and each["state"] != "exited"]
    running = {
        service: sum(each["service"] == service and each["state"] == "running" for each in living) for service in asked
    }
    detail(", ".join(f"{service} {number} of {asked[service]}" for service, number in running.items()))
    reached = status["status"] == "DEPLOYMENT_COMPLETE" and running == asked
    return True if reached and len(living) == sum(asked.values()) else None


def _show_processes(session: Session, app: str, environment: str | None, *, as_json: bool) -> None:
    columns = ("service", "replica", "state", "node", "release", "endpoint", "started_at", "reason")
    found = session.get(f"/apps/{quote(app)}/processes", environment=environment)
    output.show(columns, found, as_json=as_json, empty="nothing runs yet")


@click.command()
@click.argument("app")
@click.argument("release", required=False, type=click.IntRange(min=1), metavar="[N]")
@output.env_option
@wait_option
@output.json_option
def rollback(app: str, release: int | None, environment: str | None, wait: bool, as_json: bool) -> None:
    """Serve an earlier release again, by default the one before."""
    session = Session(SERVICE)
    target = release or _one_before(session, app, environment or PRODUCTION)
    wanted: Json = {"actions": ["deploy"], "du_id": str(target)}
    if environment:
        wanted["environment"] = environment
    answer = session.post(f"/apps/{quote(app)}/workflows", wanted)
    title = f"release {answer['release']} of {app}, with the content of release {target}"
    finish(session, app, answer, title, wait=wait, as_json=as_json)


def _one_before(session: Session, app: str, environment: str) -> int:
    releases = session.get(f"/apps/{quote(app)}/releases", environment=environment)
    current = next((each["number"] for each in releases if each["current"]), 0)
    before: list[int] = [each["number"] for each in releases if each["number"] < current]
    if not before:
        raise errors.Conflict(f"{app} has no release before the one it serves; 'stackyard releases {app}' lists them")
    return max(before)


@click.command()
@click.argument("app")
@click.argument("words", nargs=-1, metavar="[set K=V... | unset K...]")
@click.option("--secret", is_flag=True, help="What is set is never shown again; K=- takes it from standard input.")
@output.env_option
@wait_option
@output.json_option
def config(app: str, words: tuple[str, ...], secret: bool, environment: str | None, wait: bool, as_json: bool) -> None:
    """Show, set and unset an application's configuration, which it gets as environment variables.

    `set K` without a value takes it from this shell's environment, so that it shows in no list of processes.
    Whole files are handled by `config file set|unset|list|diff|show`.
    """
    session = Session(SERVICE)
    path = f"/apps/{quote(app)}/config"
    if not words:
        _show_config(session.get(path, environment=environment), as_json=as_json)
        return
    answer = session.patch(path, _changes(words[0], words[1:], secret=secret), environment=environment)
    if answer["release"] is None:
        _show_config(session.get(path, environment=environment), as_json=as_json)
    else:
        title = f"release {answer['release']} of {app}, with the new config"
        finish(session, app, answer, title, wait=wait, as_json=as_json)


def _changes(verb: str, rest: Sequence[str], *, secret: bool) -> Json:
    if verb not in ("set", "unset") or not rest or (secret and verb == "unset"):
        raise click.UsageError("write: config APP, or config APP set [--secret] K=V..., or config APP unset K...")
    if verb == "set":
        found = pairs([word if "=" in word else _from_environment(word) for word in rest], "KEY=VALUE")
        return {key: {"secret": _secret(key, value)} for key, value in found.items()} if secret else {**found}
    wrong = next((word for word in rest if "=" in word), None)
    if wrong:
        raise click.UsageError(f"unset takes names only, not {wrong.partition('=')[0]}=...")
    return dict.fromkeys(rest)


def _from_environment(key: str) -> str:
    if key not in os.environ:
        raise click.UsageError(f"{key} has no value: write {key}=VALUE, or export {key} first")
    return f"{key}={os.environ[key]}"


def _secret(key: str, value: str) -> str:
    """Return a secret's value; `-` means all of standard input, without the end of its last line."""
    if value != "-":
        return value
    if sys.stdin.isatty():
        return str(click.prompt(key, hide_input=True, err=True))
    read = sys.stdin.read()
    if not read:
        raise click.UsageError(f"{key}=- takes the value from standard input, which is empty")
    return read.removesuffix("\n")


def _show_config(values: Json, *, as_json: bool) -> None:
    if as_json:
        output.print_json(values)
        return
    secrets = values.pop("secrets", [])
    rows = [{"key": key, "value": "(secret)" if key in secrets else value} for key, value in sorted(values.items())]
    output.print_table(("key", "value"), rows, "no config")


def pairs(words: Sequence[str], example: str) -> dict[str, str]:
    """Return NAME=VALUE words as a dict; raises UsageError for one that is none."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{word!r} is not of the form {example}")
        found[name] = value
    return found


def finish(session: Session, app: str, answer: Json, title: str, *, wait: bool, as_json: bool) -> None:
    """Wait until the release that the answer names is served, where asked, and tell so."""
    number = int(answer["release"])
    path = with_query(f"/apps/{quote(app)}", {"environment": answer.get("environment")})
    if wait:
        with output.Progress(quiet=as_json).step(title):
            status = waiting.until(lambda: _served(session, path, number), title, WAIT_SECONDS, waiting.CLOSE)
    else:
        status = session.get(path)
    if as_json:
        told = {"app": app, "environment": status.get("environment"), "release": number, "serving": status["release"]}
        output.print_json({**told, "images": answer.get("images"), "url": status.get("app_url")})
    else:
        click.echo(f"Release: {number}\nURL: {status.get('app_url') or 'none (no service publishes a port)'}")


def _served(session: Session, path: str, number: int) -> Json | None:
    """Return the application once it serves the release or a newer one; raises with the reason when that failed.

    What still stops of the release before is not waited for.
    """
    status: Json = session.get(path)
    if status["release"] >= number:
        return status
    if status["status"] == "ERROR":
        serving = status["release"]
        reason = status.get("status_reason") or "no reason given"
        raise errors.StackyardError(f"release {number} failed: {reason}; release {serving} goes on serving")
    return None
