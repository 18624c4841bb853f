# SPDX-License-Identifier: Apache-2.0
"""`stackyard group`: clustered groups of an application, and beginning one that was lost. Talks HTTP only."""

from __future__ import annotations

from typing import Any

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote, with_query

COLUMNS = ("group", "state", "member", "is", "node", "data counts", "reason")
Json = dict[str, Any]


@click.group()
def group() -> None:
    """Look at an application's clustered groups, and begin one anew that was lost."""


@group.command()
@click.argument("app")
@output.env_option
@output.json_option
def show(app: str, environment: str | None, as_json: bool) -> None:
    """Show the groups of an application: whether each is formed, its members, and who is synced."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}/groups", environment=environment)
    if as_json:
        output.print_json(found)
        return
    output.print_table(COLUMNS, [row for each in found for row in rows(each)], "it has no groups")
    for each in found:
        if each["reason"]:
            click.secho(each["reason"], fg="yellow")


def rows(found: Json) -> list[Json]:
    """Return a line for each member of a group."""
    return [
        {
            "group": found["name"],
            "state": found["state"],
            "member": each["name"],
            "is": each["state"],
            "node": each["node"],
            "data counts": "yes" if each["counts"] else "no",
            "reason": each["reason"],
        }
        for each in found["members"]
    ]


@group.command()
@click.argument("app")
@click.argument("service")
@click.option("--member", required=True, help="The member that holds the data to go on with, for example db-2.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@output.env_option
def recover(app: str, service: str, member: str, environment: str | None, yes: bool) -> None:
    """Begin a lost group with a member that you name, without waiting for members that do not answer.

    What only those others hold is lost. The member's volumes are copied before. It counts for ten minutes.
    """
    output.confirm(f"Begin {service} of {app} with the data of {member}? What only other members hold is lost", yes=yes)
    path = f"/apps/{quote(app)}/groups/{quote(service)}/recovery"
    Session(SERVICE).put(with_query(path, {"environment": environment}), {"member": member})
    click.echo(f"{member} begins {service} once it waits and no member runs: stackyard group show {app}")
