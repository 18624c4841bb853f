# SPDX-License-Identifier: Apache-2.0
"""`stackyard up`, `down`, `status` and `env`: the one-machine platform from the command line.

Options come from the table of `stackyard.conf`: each can be given here, in the environment (STACKYARD_API_PORT) or
in the state folder's stackyard.conf, and is remembered there. The work is done by `stackyard.local`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import click
from oslo_config import cfg

from stackyard import conf
from stackyard.cli import output
from stackyard.local import clouds, settings
from stackyard.local.state import State

# ruff: noqa: PLC0415 -- `env` stands in shell profiles and must not wait for the Engine's and the database's libraries

Command = Callable[..., Any]
ALIASES = {"api-host": "--host", "worker-processes": "--workers"}
NOT_HERE = frozenset({"state_dir"})

state_dir = click.option(
    "--state-dir",
    envvar="STACKYARD_STATE_DIR",
    default=conf.default_state_dir,
    show_default="$XDG_STATE_HOME/stackyard",
    help="Folder of all state.",
)


def _platform_options(command: Command) -> Command:
    """Add an option for each of the platform's, secrets excepted: those go into the file."""
    for group, registered in reversed(conf.GROUPS.items()):
        for option in reversed(registered):
            if not option.secret and option.dest not in NOT_HERE:
                command = _option(group, option)(command)
    return command


def _option(group: str | None, option: cfg.Opt) -> Callable[[Command], Command]:
    name = "-".join(filter(None, [group, option.dest])).replace("_", "-")
    default = "" if option.default is None else f"  [default: {option.default}]"
    return click.option(
        f"--{name}",
        *filter(None, [ALIASES.get(name)]),
        _key(group, option.dest),
        envvar=f"STACKYARD_{name.replace('-', '_').upper()}",
        metavar=option.type.__class__.__name__.upper(),
        help=f"{option.help}{default}",
    )


def _key(group: str | None, name: str) -> str:
    return f"{group or settings.DEFAULT.lower()}__{name}"


def _given(values: dict[str, str | None]) -> dict[tuple[str, str], str]:
    given = {}
    for key, value in values.items():
        group, _, name = key.partition("__")
        if value is not None:
            given[settings.DEFAULT if group == settings.DEFAULT.lower() else group, name] = value
    return given


@click.command()
@state_dir
@_platform_options
def up(state_dir: str, **values: str | None) -> None:
    """Start the one-machine platform, or repair it.

    Options given once are remembered in the state folder's stackyard.conf.
    """
    from stackyard.local import platform as local

    progress = output.Progress()
    platform = local.up(State(state_dir), _given(values), progress)
    options = platform.options
    progress.note(
        f"the platform is up: API {settings.api_url(options)}, applications on port {options.router.port}"
        f" and, by HTTPS, {conf.tls_port(options)}",
        "✓",
    )
    progress.note(f"certificates of applications are issued by {platform.state.authority}")
    progress.note('for your shell: eval "$(stackyard env)"')


@click.command()
@state_dir
@click.option(
    "--purge", is_flag=True, help="Remove everything, data included: clusters, applications, images in the registry."
)
def down(state_dir: str, purge: bool) -> None:
    """Stop the platform; data stays unless --purge."""
    from stackyard.local import platform as local

    local.down(State(state_dir), output.Progress(), purge=purge)


@click.command()
@state_dir
@output.json_option
def status(state_dir: str, as_json: bool) -> int:
    """Tell what of the platform is up; the exit code is 1 if something is down."""
    from stackyard.local import platform as local
    from stackyard.local import status as looks

    state = State(state_dir)
    platform = local.Platform(state, settings.read(state), output.Progress(quiet=True))
    parts = looks.parts(platform)
    columns = [field.name for field in dataclasses.fields(looks.Part)]
    output.show(columns, [dataclasses.asdict(part) for part in parts], as_json=as_json)
    return int(any(part.status != "up" for part in parts))


@click.command()
@state_dir
def env(state_dir: str) -> None:
    """Print exports for your shell: eval "$(stackyard env)"."""
    state = State(state_dir)
    settings.read(state)
    click.echo(clouds.exports(state, os.environ))
