# SPDX-License-Identifier: Apache-2.0
"""From a package to what serves: a cluster, the application's config, a push, and what follows on an upgrade.

Called by `stackyard openstack deploy` and `upgrade`, which are one way. Talks HTTP only.
"""

from __future__ import annotations

import time
from typing import Any

import urllib3

from stackyard.cli import deployments, infra, output, push, sources, templates, waiting, workflows
from stackyard.cli.following import Operation
from stackyard.cli.openstack import clouds, packages
from stackyard.cli.openstack.packages import APP, GATEWAY, REGION, Inputs
from stackyard.cli.session import Session, quote
from stackyard.model import errors

ANSWER_SECONDS = 120.0
FOLLOWING_SECONDS = 1200.0
FOLLOWS = "post_upgrade"

Json = dict[str, Any]


class Deploying:
    """One deployment of a package, told as it goes."""

    def __init__(self, progress: output.Progress, *, quiet: bool) -> None:
        self.session = Session(push.SERVICE)
        self.progress = progress
        self.quiet = quiet

    def inputs(self, **asked: Any) -> Inputs:
        """Return what is asked for, with what was asked for before in place of None."""
        config = self.config()
        if config and asked.get("cluster") is None:
            asked["cluster"] = self.session.get(f"/apps/{APP}").get("cluster_id")
        return packages.deployed(config, **asked)

    def config(self) -> Json:
        """Return the application's config, secrets without their values; empty where there is no application."""
        try:
            return dict(self.session.get(f"/apps/{APP}/config"))
        except errors.NotFound:
            return {}

    def run(self, wanted: Inputs, *, force: bool = False) -> Json:
        """Bring the services to the package; return what there is to tell. `force`: also where nothing changed."""
        began = time.monotonic()
        cluster_seconds = ensure_cluster(wanted, quiet=self.quiet)
        app, _ = push.find_or_create(self.session, APP, wanted.cluster)
        app = self.session.get(f"/apps/{app['uuid']}")
        domain = self.session.put(f"/apps/{APP}/domains/{quote(wanted.host)}", {"service": GATEWAY})
        url = wanted.url(domain)
        ca = clouds.authority() if url == domain["url"] and domain["certificate"] == "platform" else None
        self._configure(wanted, url, ca)
        release = self._push(app, wanted, force=force)
        if wanted.replicas:
            scale(self.session, dict(wanted.replicas), self.progress)
        with self.progress.step(f"answers at {url}"):
            waiting.until(lambda: _answers(auth_url(url), ca), f"an answer of {url}", ANSWER_SECONDS, waiting.CLOSE)
        if wanted.serves_platform:
            self._trust(url, own_ca=ca is not None)
        for group in self.session.get(f"/apps/{APP}/groups"):
            if shared(group):
                self.progress.note(shared(group))
        told = {"url": url, "cloud": clouds.NAME, "package": wanted.package, "release": release}
        return {**told, "seconds": round(time.monotonic() - began, 1), "cluster_seconds": round(cluster_seconds, 1)}

    def _configure(self, wanted: Inputs, url: str, ca: str | None) -> None:
        """Set what config lacks; the administrator's password, once made, is in clouds.yaml only."""
        there = self.config()
        if not clouds.known(auth_url(url)):
            there.pop("ADMIN_PASSWORD", None)
        changes = wanted.config(url, platform_url(self.session), there)
        if changes:
            self.session.patch(f"/apps/{APP}/config", changes)
            secrets = sum(isinstance(value, dict) for value in changes.values())
            self.progress.note(f"config: {secrets} secrets made, {len(changes) - secrets} values set", "✓")
        if "ADMIN_PASSWORD" in changes:
            clouds.write(auth_url(url), changes["ADMIN_PASSWORD"]["secret"], REGION, ca)

    def _trust(self, url: str, *, own_ca: bool) -> None:
        """Have Stackyard serve the cloud's users, too."""
        known = {"username": packages.PLATFORM_USER, "password_key": packages.PLATFORM_PASSWORD}
        self.session.put(f"/apps/{APP}/trust", {"auth_url": auth_url(url), "own_ca": own_ca, **known})
        self.progress.note("its users may use Stackyard, too: openstack --os-cloud openstack coe cluster list", "✓")

    def _push(self, app: Json, wanted: Inputs, *, force: bool) -> int:
        prepared = sources.prepare(str(wanted.folder), "", force=force)
        workflow = sources.begin(self.session, app, prepared, is_new=False)
        if workflow.get("unchanged"):
            self.progress.note(f"nothing changed; release {workflow['release']} serves", "✓")
            return int(workflow["release"])
        return int(workflows.Follower(self.session, APP, workflow, self.progress).run()["release"])

    def follow(self, release: int) -> None:
        """Wait for what follows on the upgrade to a release; raises with the reason when that failed."""
        with self.progress.step(f"schemas without what only the release before {release} needed"):
            waiting.until(lambda: self._followed(release), "the end of the upgrade", FOLLOWING_SECONDS)

    def _followed(self, release: int) -> bool | None:
        app = self.session.get(f"/apps/{APP}")
        if app["status"] == "ERROR":
            raise errors.StackyardError(app.get("status_reason") or f"see 'stackyard events {APP}'")
        jobs = self.session.get(f"/apps/{APP}/jobs")
        mine = [job for job in jobs if job["kind"] == FOLLOWS and job["release"] == release]
        return True if mine and all(job["status"] == "done" for job in mine) else None


def ensure_cluster(wanted: Inputs, *, quiet: bool) -> float:
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


def shared(group: Json) -> str:
    """Return what it means that members of a group are on one node, nothing where each has a node to itself."""
    nodes = [each["node"] for each in group["members"] if each["node"]]
    most = max((nodes.count(node) for node in set(nodes)), default=0)
    if most < 2:
        return ""
    borne = "is borne" if 2 * (len(nodes) - most) > len(nodes) else "stops it"
    said = f"{most} of {len(nodes)} members of {group['name']} share a node: the loss of that node {borne}"
    return f"{said} (on {len(nodes)} nodes, each has its own)"


def platform_url(session: Session) -> str:
    """Return where users reach Stackyard's own APIs."""
    return session.endpoint.partition("/application-deployment")[0]


def auth_url(url: str) -> str:
    """Return where clients log in."""
    return f"{url}/identity/v3"


def scale(session: Session, asked: dict[str, int], progress: output.Progress) -> None:
    """Have these numbers of replicas, and wait until they run; raises with the reason when that failed."""
    session.put(f"/apps/{APP}/scale", asked)
    title = "scale: " + ", ".join(f"{service}={number}" for service, number in asked.items())
    with progress.step(title) as detail:
        waiting.until(lambda: deployments.scaled(session, APP, None, asked, detail), title, deployments.WAIT_SECONDS)


def _answers(url: str, ca: str | None) -> bool | None:
    try:
        asking = urllib3.PoolManager(ca_certs=ca)
        return asking.request("GET", url, timeout=5, retries=False).status == 200 or None
    except urllib3.exceptions.HTTPError:
        return None
