# SPDX-License-Identifier: Apache-2.0
"""`stackyard config file`: what operators lay over the configs of an application. Talks HTTP only.

`config` itself is taken apart here: `config file VERB ...` is ours, everything else is about keys and values.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stackyard.cli import deployments, output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote, with_query
from stackyard.model import errors
from stackyard.model.files import MAX_FILE

Json = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

COLUMNS = ("name", "format", "services", "set_for")
VERBS = ("set", "unset", "list", "diff", "show")


class Config(click.Group):
    """Gives `config file VERB` to the group of files and all other words to the command of keys and values."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return which of the two is meant; an application may be named `file`, too."""
        if args[0] == "file" and len(args) > 1 and args[1] in (*VERBS, "--help", "-h"):
            return "file", file, args[1:]
        return ctx.info_name, deployments.config, args


@click.group(
    cls=Config,
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def config() -> None:
    """Show, set and unset an application's configuration."""


@click.group()
def file() -> None:
    """Lay files over the configs of an application: for an environment, a service of it, a node.

    An INI file is merged with the application's own option by option; any other one takes its place.
    """


def _place(command: F) -> F:
    """Add the options that say where a file lies."""
    for option in (
        click.option("--node", metavar="NODE", help="On this node only."),
        click.option("--service", metavar="SERVICE", help="For this service only."),
        output.env_option,
    ):
        command = option(command)
    return command


@file.command("list")
@click.argument("app")
@output.env_option
@output.json_option
def list_files(app: str, environment: str | None, as_json: bool) -> None:
    """List the configs that an application has, and what is set for them."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}/files", environment=environment)
    output.show(COLUMNS, found if as_json else [_row(each) for each in found], as_json=as_json, empty="no configs")


def _row(each: Json) -> Json:
    formats = {True: "ini", False: "text", None: "(not in this release)"}
    places = [_words(overlay) for overlay in each["overlays"]]
    return {
        "name": each["name"],
        "format": formats[each["ini"]],
        "services": ", ".join(each["services"]),
        "set_for": ", ".join(places),
    }


def _words(overlay: Json) -> str:
    parts = [overlay["service"] or "", f"on {overlay['node']}" if overlay["node"] else ""]
    return " ".join(part for part in parts if part) or "all services"


@file.command("show")
@click.argument("app")
@click.argument("name")
@_place
@click.option("--own", is_flag=True, help="Only what was set at this place, as it was given.")
@output.json_option
def show_file(app: str, name: str, own: bool, as_json: bool, **place: str | None) -> None:
    """Show a config as a service has it; secret values stay ${KEY}."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}/files/{quote(name)}", **place)
    if own and found["own"] is None:
        raise errors.NotFound(f"nothing is set for {name} at this place")
    if as_json:
        output.print_json(found)
    else:
        click.echo(found["own"] if own else found["content"], nl=False)


@file.command("set")
@click.argument("app")
@click.argument("name")
@click.argument("source", metavar="FILE")
@_place
@deployments.wait_option
@output.json_option
def set_file(app: str, name: str, source: str, wait: bool, as_json: bool, **place: str | None) -> None:
    """Lay FILE ('-': standard input) over the config NAME."""
    session = Session(SERVICE)
    answer = session.put(f"/apps/{quote(app)}/files/{quote(name)}", {"content": _text(source)}, **place)
    _finish(session, app, name, answer, wait=wait, as_json=as_json)


@file.command("unset")
@click.argument("app")
@click.argument("name")
@_place
@deployments.wait_option
@output.json_option
def unset_file(app: str, name: str, wait: bool, as_json: bool, **place: str | None) -> None:
    """Take away what was laid over the config NAME at this place."""
    session = Session(SERVICE)
    answer = session.delete(with_query(f"/apps/{quote(app)}/files/{quote(name)}", place))
    _finish(session, app, name, answer, wait=wait, as_json=as_json)


@file.command("diff")
@click.argument("app")
@click.argument("name")
@click.argument("source", metavar="[FILE]", required=False)
@_place
@output.json_option
def diff_file(app: str, name: str, source: str | None, as_json: bool, **place: str | None) -> None:
    """Show what setting FILE (without one: unsetting) would change; nothing is changed."""
    asked = {"content": None if source is None else _text(source)}
    found = Session(SERVICE).post(f"/apps/{quote(app)}/files/{quote(name)}/diff", asked, **place)
    if as_json:
        output.print_json(found)
        return
    for each in found:
        click.echo(f"# {_words(each)}\n{each['diff']}")
    if not found:
        click.echo("nothing would change")


def _text(source: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == "-" else pathlib.Path(source).read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise errors.BadInput(f"{source} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise errors.BadInput(f"{source} is not UTF-8 text") from None
    if len(data) > MAX_FILE:
        raise errors.BadInput(f"{source} is larger than {MAX_FILE} bytes")
    return text


def _finish(session: Session, app: str, name: str, answer: Json, *, wait: bool, as_json: bool) -> None:
    if answer["release"] is not None:
        title = f"release {answer['release']} of {app}, with another {name}"
        deployments.finish(session, app, answer, title, wait=wait, as_json=as_json)
    elif as_json:
        output.print_json(answer)
    else:
        click.echo(f"{name} is kept for the first release of {app}")
