# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack`: OpenStack's own services deployed as the application `openstack`.

Thin: a cluster, an application, its config and a push, all by the same API as for any other. What is deployed stands
in `packages/openstack`, or `packages/identity` for Keystone alone. Talks HTTP only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stackyard.cli import applications, clusters, deployments, output, push
from stackyard.cli.openstack import backups, checks, clouds, options, packages, rotation
from stackyard.cli.openstack.deploying import Deploying, scale
from stackyard.cli.openstack.packages import APP
from stackyard.cli.session import Session
from stackyard.model import errors

OPERATOR = "stackyard-admin"
SERVICE_COLUMNS = ("service", "replica", "state", "node", "release", "image", "started_at", "reason")

Json = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def openstack() -> None:
    """Deploy OpenStack's own services as an application."""
    # An operator's work: on the one-machine platform as its administrator, unless another cloud is named.
    if os.environ.get("OS_CLOUD", "stackyard") == "stackyard":
        os.environ["OS_CLOUD"] = OPERATOR


def _inputs(command: F) -> F:
    """Add the options that say what a deployment is derived from; what is not given stays as it was."""
    at, names = packages.HERE, packages.NAMES
    for option in (
        click.option("--release", type=click.Choice(packages.RELEASES), help="OpenStack's release."),
        click.option("--package", type=click.Choice(names), help=f"How much of OpenStack. Default: {names[0]}."),
        click.option("--cluster", help=f"Cluster to deploy on; made when absent. Default: {APP}."),
        click.option("--nodes", type=click.IntRange(min=1), help="Nodes of a cluster made now. Default: 1."),
        click.option("--api-address", "address", help=f"Host that leads to the router. Default: {at}."),
        _replicas,
    ):
        command = option(command)
    return command


def _counts(_context: click.Context, _option: click.Parameter, words: tuple[str, ...]) -> dict[str, int] | None:
    return deployments.counts(words) or None


_replicas = click.option(
    "--replicas", multiple=True, metavar="SERVICE=N", callback=_counts, help="Run so many: --replicas keystone=3."
)


@openstack.command()
@_inputs
@output.json_option
def deploy(as_json: bool, **asked: Any) -> None:
    """Deploy the services, or bring them to this package; passwords are made once and kept as secrets."""
    deploying = _deploying(as_json=as_json)
    _tell(deploying.run(deploying.inputs(**asked)), as_json=as_json)


@openstack.command()
@_inputs
@click.option(
    "--skip-checks", is_flag=True, help="Also where the services' own checks say that they can't be upgraded."
)
@output.json_option
def upgrade(skip_checks: bool, as_json: bool, **asked: Any) -> None:
    """Bring the services to this package and to the newest images: check, expand schemas, roll, contract schemas.

    New images are made by `stackyard up` and `stackyard images build`.
    """
    deploying = _deploying(as_json=as_json)
    wanted = deploying.inputs(**asked)
    if not deploying.config():
        raise errors.Conflict(f"there is nothing to upgrade yet; run: stackyard {APP} deploy")
    if not skip_checks:
        checks.insist(deploying, wanted)
    told = deploying.run(wanted, force=True)
    deploying.follow(told["release"])
    _tell(told, as_json=as_json)


@openstack.command()
@_inputs
@click.option("--services/--no-services", default=True, show_default=True, help="Run the services' own checks, too.")
@output.json_option
def check(services: bool, as_json: bool, **asked: Any) -> int:
    """Show what `deploy` with these options would change, and check what is deployed; changes nothing.

    The exit code is 1 when a check fails.
    """
    deploying = _deploying(as_json=as_json)
    wanted = deploying.inputs(**asked)
    preview = checks.preview(deploying, wanted)
    found = checks.run(deploying, wanted, services=services)
    rows = [each.row() for each in found]
    if as_json:
        output.print_json({"changes": preview, "checks": rows})
    else:
        checks.tell(preview, wanted)
        output.print_table(checks.COLUMNS, rows)
    return 0 if all(each.good for each in found) else 1


@openstack.command()
@click.option("--set", "sets", multiple=True, metavar="SERVICE/SECTION.OPTION=VALUE", help="Lay an option over a file.")
@click.option("--unset", "unsets", multiple=True, metavar="SERVICE/SECTION.OPTION", help="Have the package's again.")
@_replicas
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@deployments.wait_option
@output.json_option
def reconfigure(sets: tuple[str, ...], unsets: tuple[str, ...], replicas: dict[str, int] | None, **how: bool) -> None:
    """Set options of the services, and numbers of replicas: what changes is shown, then rolled out.

    Secrets don't belong into options: set them by `stackyard config openstack set --secret KEY=-`, and write ${KEY}.
    """
    asked = options.parsed(sets, unsets)
    if not asked and not replicas:
        raise click.UsageError(f"name something to change: --set {options.EXAMPLE}, or --replicas keystone=3")
    session, as_json = Session(push.SERVICE), how["as_json"]
    wanted = options.overlays(session, asked) if asked else {}
    changes = options.differences(session, wanted)
    if how["dry_run"] or not as_json:
        _tell_changes(changes, as_json=as_json)
    if how["dry_run"]:
        return
    if replicas:
        scale(session, replicas, output.Progress(quiet=as_json))
    answer = options.lay(session, wanted) if changes else None
    if answer and answer["release"] is not None:
        title = f"release {answer['release']} of {APP}, with other options"
        deployments.finish(session, APP, answer, title, wait=how["wait"], as_json=as_json)
    elif as_json:
        output.print_json({"app": APP, "release": None, "changes": changes})


def _tell_changes(changes: list[Json], *, as_json: bool) -> None:
    if as_json:
        output.print_json({"changes": changes})
        return
    for each in changes:
        node = f" on {each['node']}" if each["node"] else ""
        click.echo(f"# {each['service']}{node}\n{each['diff']}")


def _deploying(*, as_json: bool) -> Deploying:
    return Deploying(output.Progress(quiet=as_json), quiet=as_json)


def _tell(told: Json, *, as_json: bool) -> None:
    if as_json:
        output.print_json(told)
        return
    cloud = told["cloud"]
    click.echo(f"URL: {told['url']}\nCloud: {cloud} (openstack --os-cloud {cloud} token issue)")
    click.echo(f"Release: {told['release']}\nSeconds: {told['seconds']} ({told['cluster_seconds']} for the cluster)")


@openstack.command()
@output.json_option
def status(as_json: bool) -> None:
    """Show the services' replicas, each with the digest of its image: where it is the same, so is all that runs there.

    `stackyard images list` tells what is in an image, `stackyard images compare` what two of them differ in.
    """
    found = Session(push.SERVICE).get(f"/apps/{APP}/processes")
    rows = found if as_json else [{**each, "image": output.short(each["image"])} for each in found]
    output.show(SERVICE_COLUMNS, rows, as_json=as_json, empty="nothing runs yet")


openstack.add_command(backups.backup)
openstack.add_command(backups.restore)


@openstack.command()
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@click.option("--keep-cluster", is_flag=True, help="Leave the cluster that was made for it.")
@click.option("--cluster", default=APP, show_default=True, help="Cluster that it was deployed on.")
@click.pass_context
def destroy(context: click.Context, yes: bool, keep_cluster: bool, cluster: str) -> None:
    """Delete the services with all their data, the cloud in clouds.yaml, and the cluster made for them."""
    context.invoke(applications.destroy, app=APP, yes=yes, wait=True, as_json=False)
    clouds.forget()
    if not keep_cluster and cluster == APP:
        context.invoke(clusters.delete, name=cluster, yes=yes, wait=True, as_json=False)


openstack.add_command(rotation.rotate)
