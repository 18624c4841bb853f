# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack backup` and `restore`: `stackyard backup` on all that the package says. Talks HTTP only."""

from __future__ import annotations

from typing import Any

import click

from stackyard.cli import backups, output
from stackyard.cli.openstack.packages import APP
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session
from stackyard.model import errors

Json = dict[str, Any]


@click.command()
@click.option("--verify", is_flag=True, help="Prove each by restoring it into a throw-away container.")
@output.json_option
def backup(verify: bool, as_json: bool) -> int:
    """Back up the database and Glance's store. They are backed up every night, too."""
    session = Session(SERVICE)
    made = backups.make(session, APP, quiet=as_json)
    if verify:
        sound = [each for each in made if each["status"] == "AVAILABLE"]
        others = [each for each in made if each["status"] != "AVAILABLE"]
        made = [*others, *(backups.ask(session, APP, each["uuid"], "verify", quiet=as_json) for each in sound)]
    return backups.tell(made, as_json=as_json)


@click.command()
@click.argument("numbers", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@output.json_option
def restore(numbers: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Give the database and Glance's store what backups hold: those named, by default the newest good of each."""
    session = Session(SERVICE)
    found = [backups.find(session, APP, number) for number in numbers] or backups.newest(session, APP)
    if not found:
        raise errors.Conflict(f"there is no backup to restore; make one with: stackyard {APP} backup")
    named = ", ".join(f"{each['service']} of {each['created_at'][:19]} UTC (backup {each['number']})" for each in found)
    output.confirm(f"Restore {named}? What has changed since is lost.", yes=yes)
    done = [backups.ask(session, APP, each["uuid"], "restore", quiet=as_json) for each in found]
    return backups.tell(done, as_json=as_json)
