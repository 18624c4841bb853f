# SPDX-License-Identifier: Apache-2.0
"""Commands of an application beside what serves: `stackyard run`, `exec` and `jobs`.

Their exit codes are those of the commands themselves. Talks HTTP only.
"""

from __future__ import annotations

import shlex
from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote

Json = dict[str, Any]

COLUMNS = ("number", "kind", "name", "environment", "status", "exit_code", "started_at", "seconds", "command", "reason")
SHORT = 60
FLAGS = ("--detach", "--json")
VALUED = ("--env", "--service", "--replica")

# What comes after the application's name is the command's, options and all.
SETTINGS = {"ignore_unknown_options": True, "allow_interspersed_args": False}
env_option = click.option("--env", "environment", metavar="NAME", help="In this environment; by default production.")


@click.command(context_settings=SETTINGS)
@env_option
@click.option("--service", help="With the image, config and volumes of this service; by default web.")
@click.option("--detach", is_flag=True, help="Return at once; 'stackyard logs' shows its output.")
@output.json_option
@click.argument("app")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND...")
def run(
    app: str, command: tuple[str, ...], environment: str | None, service: str | None, detach: bool, as_json: bool
) -> int:
    """Run a command once, in a container of its own.

    At a terminal the command has one, too; its exit code becomes ours. Without --detach it ends when this program does.
    """
    options, rest = _own_options(command)
    environment, service = options.get("--env", environment), options.get("--service", service)
    detach, as_json = detach or "--detach" in options, as_json or "--json" in options
    session = Session(SERVICE)
    path = f"/apps/{quote(app)}/jobs"
    asked: Json = {"command": rest, "service": service, "terminal": False, "attached": not detach}
    if detach:
        _tell_begun(app, session.post(path, asked, environment=environment), as_json=as_json)
        return 0
    from stackyard.cli import terminal  # noqa: PLC0415  (import time)

    asked["terminal"] = terminal.interactive()
    job = session.post(path, asked, environment=environment)
    return terminal.talk(session, f"/apps/{quote(app)}/jobs/{job['uuid']}/attach", terminal=asked["terminal"])


def _own_options(words: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Return our options that stand between APP and the command, and the command: both orders are what people write."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        name, equals, value = rest.pop(0).partition("=")
        if name in FLAGS and not equals:
            found[name] = "yes"
        elif name in VALUED and (equals or rest):
            found[name] = value if equals else rest.pop(0)
        else:
            raise click.UsageError(f"there is no option {name} here; put -- before the command")
    rest = rest[1:] if rest[:1] == ["--"] else rest
    if not rest:
        raise click.UsageError("there is no command; write for example: -- COMMAND ARGUMENT...")
    return found, rest


def _tell_begun(app: str, job: Json, *, as_json: bool) -> None:
    if as_json:
        output.print_json(job)
    else:
        click.echo(f"{job['name']} begins; its output: stackyard logs {app} --service {job['name']}")


@click.command("exec", context_settings=SETTINGS)
@env_option
@click.option("--replica", metavar="SERVICE[.N]", help="In this replica; by default the first of web.")
@click.argument("app")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="[--] COMMAND...")
def execute(app: str, command: tuple[str, ...], environment: str | None, replica: str | None) -> int:
    """Run a command in a replica that runs; its exit code becomes ours."""
    from stackyard.cli import terminal  # noqa: PLC0415  (import time)

    options, rest = _own_options(command)
    first = {"command": rest, "terminal": terminal.interactive()}
    return terminal.talk(
        Session(SERVICE),
        f"/apps/{quote(app)}/exec",
        first,
        terminal=terminal.interactive(),
        environment=options.get("--env", environment),
        replica=options.get("--replica", replica),
    )


@click.command()
@click.argument("app")
@click.option("--env", "environment", metavar="NAME", help="Only of this environment.")
@output.json_option
def jobs(app: str, environment: str | None, as_json: bool) -> None:
    """List an application's jobs, newest first: release stages, schedules, one-off commands."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}/jobs", environment=environment)
    rows = found if as_json else [_row(job) for job in found]
    output.show(COLUMNS, rows, as_json=as_json, empty="no jobs yet; 'stackyard run' begins one")


def _row(job: Json) -> Json:
    command = shlex.join(job["command"] or ())
    reason = (job["status_reason"] or "").partition("\n")[0] if job["status"] == "failed" else ""
    return {
        **job,
        "started_at": (job["started_at"] or "")[:19],
        "seconds": f"{job['seconds']:.1f}" if job["seconds"] is not None else "",
        "command": command if len(command) <= SHORT else f"{command[: SHORT - 1]}…",
        "reason": reason,
    }
