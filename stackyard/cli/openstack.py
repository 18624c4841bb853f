# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack`: OpenStack's own services deployed as the application `openstack`.

Thin: a cluster, an application, its config and a push, all by the same API as for any other. What is deployed stands
in `packages/openstack`. Talks HTTP only.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
import urllib.parse
from typing import Any

import click
import urllib3

from stackyard.cli import (
    applications,
    clusters,
    infra,
    openstack_clouds,
    openstack_rotation,
    openstack_secrets,
    output,
    push,
    sources,
    templates,
    waiting,
    workflows,
)
from stackyard.cli.following import Operation
from stackyard.cli.session import Session, quote
from stackyard.model import errors

APP = "openstack"
GATEWAY = "api"
REGION = "RegionOne"
PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "packages" / "openstack"
RELEASES = ("2025.1",)
OPERATOR = "stackyard-admin"
ANSWER_SECONDS = 120.0
SERVICE_COLUMNS = ("service", "replica", "state", "node", "release", "started_at", "reason")

Json = dict[str, Any]


@click.group()
def openstack() -> None:
    """Deploy OpenStack's own services as an application."""
    # An operator's work: on the one-machine platform as its administrator, unless another cloud is named.
    if os.environ.get("OS_CLOUD", "stackyard") == "stackyard":
        os.environ["OS_CLOUD"] = OPERATOR


@dataclasses.dataclass(frozen=True)
class Inputs:
    """All that a deployment is derived from; `address` is a host name or address, or a whole URL."""

    address: str
    nodes: int
    cluster: str
    release: str

    def url(self, domain: Json) -> str:
        """Return where users reach the APIs: at the platform's router, unless the address says otherwise."""
        return self.address.rstrip("/") if "://" in self.address else str(domain["http_url"])

    @property
    def host(self) -> str:
        """Return the host in that URL."""
        return (urllib.parse.urlsplit(self.address).hostname or "") if "://" in self.address else self.address


@openstack.command()
@click.option("--api-address", "address", default="127.0.0.1", show_default=True, help="Host that leads to the router.")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Nodes of a cluster made now.")
@click.option("--cluster", default=APP, show_default=True, help="Cluster to deploy on; made when absent.")
@click.option("--release", type=click.Choice(RELEASES), default=RELEASES[-1], show_default=True)
@output.json_option
def deploy(as_json: bool, **inputs: Any) -> None:
    """Deploy the services, or bring them to this package; passwords are made once and kept as secrets."""
    began = time.monotonic()
    wanted = Inputs(**inputs)
    progress = output.Progress(quiet=as_json)
    cluster_seconds = _ensure_cluster(wanted, quiet=as_json)
    session = Session(push.SERVICE)
    app, _ = push.find_or_create(session, APP, wanted.cluster)
    app = session.get(f"/apps/{app['uuid']}")
    url = wanted.url(session.put(f"/apps/{APP}/domains/{quote(wanted.host)}", {"service": GATEWAY}))
    _configure(session, url, progress)
    _push(session, app, progress)
    with progress.step(f"answers at {url}"):
        waiting.until(lambda: _answers(_auth_url(url)), f"an answer of {url}", ANSWER_SECONDS, waiting.CLOSE)
    seconds = time.monotonic() - began
    _tell(url, seconds, cluster_seconds, as_json=as_json)


def _auth_url(url: str) -> str:
    return f"{url}/identity/v3"


def _ensure_cluster(wanted: Inputs, *, quiet: bool) -> float:
    """Have the cluster, and wait until it is there; return the seconds that this took."""
    began = time.monotonic()
    api = infra.session()
    try:
        found = infra.cluster(api, wanted.cluster)
    except errors.NotFound:
        template = templates.resolve(api, "swarm")
        counts = {"master_count": 1, "node_count": wanted.nodes - 1}
        body = {"name": wanted.cluster, "cluster_template_id": template["uuid"], **counts}
        found = {"name": wanted.cluster, "status": "CREATE_IN_PROGRESS", **api.post("/clusters", body)}
    if found["status"] == "CREATE_IN_PROGRESS":
        Operation(api, found, f"create cluster {wanted.cluster}", quiet=quiet).settle()
    return time.monotonic() - began


def _configure(session: Session, url: str, progress: output.Progress) -> None:
    """Set what config lacks; the administrator's password, once made, is in clouds.yaml only."""
    path = f"/apps/{APP}/config"
    there = session.get(path)
    names = openstack_secrets.needed(PACKAGE / "compose.yaml")
    change = openstack_secrets.changes(names, there)
    if "ADMIN_PASSWORD" not in change and not openstack_clouds.known(_auth_url(url)):
        change |= openstack_secrets.changes(["ADMIN_PASSWORD"], ())
    plain = {key: value for key, value in {"API_URL": url, "REGION": REGION}.items() if there.get(key) != value}
    if change or plain:
        session.patch(path, {**plain, **change})
        progress.note(f"config: {len(change)} secrets made, {len(plain)} values set", "✓")
    if "ADMIN_PASSWORD" in change:
        openstack_clouds.write(_auth_url(url), change["ADMIN_PASSWORD"]["secret"], REGION)


def _push(session: Session, app: Json, progress: output.Progress) -> None:
    workflow = sources.begin(session, app, sources.prepare(str(PACKAGE), ""), is_new=False)
    if workflow.get("unchanged"):
        progress.note(f"nothing changed; release {workflow['release']} serves", "✓")
        return
    workflows.Follower(session, APP, workflow, progress).run()


def _answers(url: str) -> bool | None:
    try:
        return urllib3.request("GET", url, timeout=5, retries=False).status == 200 or None
    except urllib3.exceptions.HTTPError:
        return None


def _tell(url: str, seconds: float, cluster_seconds: float, *, as_json: bool) -> None:
    told = {"url": url, "cloud": openstack_clouds.NAME, "seconds": round(seconds, 1)}
    told["cluster_seconds"] = round(cluster_seconds, 1)
    if as_json:
        output.print_json(told)
        return
    click.echo(f"URL: {url}\nCloud: {openstack_clouds.NAME} (openstack --os-cloud {openstack_clouds.NAME} token issue)")
    click.echo(f"Seconds: {seconds:.1f} ({cluster_seconds:.1f} of them for the cluster)")


@openstack.command()
@output.json_option
def status(as_json: bool) -> None:
    """Show the services' replicas."""
    found = Session(push.SERVICE).get(f"/apps/{APP}/processes")
    output.show(SERVICE_COLUMNS, found, as_json=as_json, empty="nothing runs yet")


@openstack.command()
@click.option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@click.option("--keep-cluster", is_flag=True, help="Leave the cluster that was made for it.")
@click.option("--cluster", default=APP, show_default=True, help="Cluster that it was deployed on.")
@click.pass_context
def destroy(context: click.Context, yes: bool, keep_cluster: bool, cluster: str) -> None:
    """Delete the services with all their data, the cloud in clouds.yaml, and the cluster made for them."""
    context.invoke(applications.destroy, app=APP, yes=yes, wait=True, as_json=False)
    openstack_clouds.forget()
    if not keep_cluster and cluster == APP:
        context.invoke(clusters.delete, name=cluster, yes=yes, wait=True, as_json=False)


openstack.add_command(openstack_rotation.rotate)
