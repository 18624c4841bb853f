# SPDX-License-Identifier: Apache-2.0
"""The `stackyard` command: a table of commands whose modules are imported only when they are called.

Installed as the console script; the one place where errors become words on stderr and exit codes.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

import click

from stackyard.model import errors

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module:attribute, the line in --help, told here so that help imports nothing)
    "up": ("stackyard.local.cli.platform:up", "Start the one-machine platform, or repair it."),
    "down": ("stackyard.local.cli.platform:down", "Stop the platform; data stays unless --purge."),
    "status": ("stackyard.local.cli.platform:status", "Tell what of the platform is up."),
    "env": ("stackyard.local.cli.platform:env", 'Print exports for your shell: eval "$(stackyard env)".'),
    "images": ("stackyard.local.cli.images:images", "Build and list the platform's images."),
    "openstack": ("stackyard.cli.openstack.commands:openstack", "Deploy OpenStack's own services as an application."),
    "cluster": ("stackyard.cli.clusters:cluster", "Make, look at, change and delete clusters."),
    "push": ("stackyard.cli.applications:push", "Build a folder or git repository and deploy it."),
    "plan": ("stackyard.cli.plan:plan", "Show what a push of a folder would do and why, without building."),
    "git-remote": ("stackyard.cli.git_remote:git_remote", "Set this git repository up for 'git push stackyard main'."),
    "apps": ("stackyard.cli.applications:apps", "List applications."),
    "show": ("stackyard.cli.show:show", "Show an application, and what it is built by."),
    "ps": ("stackyard.cli.ps:ps", "List an application's replicas, and what they use."),
    "top": ("stackyard.cli.top:top", "Show live what applications or replicas use."),
    "open": ("stackyard.cli.open:open_app", "Open an application in the browser."),
    "logs": ("stackyard.cli.applications:logs", "Show an application's logs in order of time."),
    "scale": ("stackyard.cli.applications:scale", "Set the number of replicas: scale APP web=3."),
    "environments": ("stackyard.cli.environments:environments", "List, add and remove an application's environments."),
    "promote": ("stackyard.cli.environments:promote", "Serve the release of one environment in another."),
    "domains": ("stackyard.cli.domains:domains", "List, add and remove an application's own host names."),
    "maintenance": ("stackyard.cli.maintenance:maintenance", "Answer for an application with a page of maintenance."),
    "group": ("stackyard.cli.groups:group", "Show an application's clustered groups; recover a lost one."),
    "rollback": ("stackyard.cli.applications:rollback", "Serve an earlier release again."),
    "rebase": ("stackyard.cli.rebase:rebase", "Move applications to patched stacks without a build."),
    "config": ("stackyard.cli.files:config", "Show, set and unset an application's configuration and files."),
    "run": ("stackyard.cli.jobs:run", "Run a command once, in a container of its own: run APP -- COMMAND."),
    "exec": ("stackyard.cli.jobs:execute", "Run a command in a replica that runs: exec APP -- COMMAND."),
    "check": ("stackyard.cli.checks:check", "Run an application's own checks and tell how they ended."),
    "backup": ("stackyard.cli.backups:backup", "Back up services; verify and restore what is kept."),
    "jobs": ("stackyard.cli.jobs:jobs", "List stages, schedules' runs, checks and one-off commands."),
    "destroy": ("stackyard.cli.applications:destroy", "Delete an application and its data."),
    "builds": ("stackyard.cli.builds:builds", "List an application's builds."),
    "build": ("stackyard.cli.builds:build", "Show the output of a build: build logs APP [N]."),
    "releases": ("stackyard.cli.applications:releases", "List an application's releases."),
    "events": ("stackyard.cli.events:events", "Show an application's history."),
}
HIDDEN: dict[str, str] = {"git-credential": "stackyard.cli.git_remote:git_credential"}
"""Commands that programs call."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order, which is the order of use."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, importing its module now; None when the table has no such name."""
        place = HIDDEN.get(cmd_name) or COMMANDS.get(cmd_name, ("", ""))[0]
        if not place:
            return super().get_command(ctx, cmd_name)
        module, attribute = place.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table itself."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="stackyard")
def cli() -> None:
    """From source code to running applications on your own clusters."""


def _say(message: str) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)


def _run(arguments: list[str] | None, **extra: Any) -> int:
    """Run and return the exit code: 1 for our own errors, 2 for wrong usage, 130 for Ctrl-C."""
    try:
        result = cli.main(args=arguments, prog_name="stackyard", standalone_mode=False, **extra)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except errors.StackyardError as error:
        _say(str(error))
        return 1
    except (KeyboardInterrupt, click.Abort):
        click.echo("", err=True)
        return 130
    except BrokenPipeError:  # `stackyard logs APP | head`: the reader has gone, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    sys.exit(_run(arguments))


if __name__ == "__main__":
    main()
