# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack check`: what a deployment would change, and whether all that it stands on is well.

What would change is the platform's preview of the very push that `deploy` makes; the services' own checks are those of
stage `check`, run by what serves. Changes nothing. Talks HTTP only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import click

from stackyard.cli import archive, checks, infra, output, waiting
from stackyard.cli.openstack.deploying import Deploying, platform_url, shared
from stackyard.cli.openstack.packages import APP, URL_KEY, Inputs
from stackyard.cli.session import Session, quote
from stackyard.model import errors

COLUMNS = ("check", "result", "why")
GOOD, BAD = "ok", "failed"

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Found:
    """A check and how it ended; `cure` says what to do."""

    check: str
    good: bool
    why: str = ""

    def row(self) -> Json:
        """Return it for people and programs."""
        return {"check": self.check, "result": GOOD if self.good else BAD, "why": self.why}


def run(deploying: Deploying, wanted: Inputs, *, services: bool) -> list[Found]:
    """Return all checks, those of the services last and where asked."""
    found = list(_cluster(wanted))
    if not deploying.config():
        return found
    session = deploying.session
    found += [*_application(session), *_groups(session), *_replicas(session)]
    if services and session.get(f"/apps/{APP}")["release"]:
        found += _services(session, deploying.progress)
    return found


def insist(deploying: Deploying, wanted: Inputs) -> None:
    """Raise Conflict where a check fails, naming each that does."""
    failed = [each for each in run(deploying, wanted, services=True) if not each.good]
    if failed:
        words = "\n".join(f"  {each.check}: {each.why}" for each in failed)
        raise errors.Conflict(f"nothing was done, since checks failed (--skip-checks goes on all the same):\n{words}")


def _cluster(wanted: Inputs) -> Iterator[Found]:
    try:
        found = infra.cluster(infra.session(), wanted.cluster)
    except errors.NotFound:
        yield Found(f"cluster {wanted.cluster}", True, f"is not there; deploy makes it, with {wanted.nodes} nodes")
        return
    name = f"cluster {found['name']}"
    status, health = found["status"], found.get("health_status")
    if not status.endswith("_COMPLETE"):
        yield Found(name, False, f"{status}: {found.get('status_reason') or 'see stackyard cluster show'}")
    elif health == "UNHEALTHY":
        yield Found(name, False, f"is unhealthy: {found.get('health_status_reason')}")
    else:
        yield Found(name, True)


def _application(session: Session) -> Iterator[Found]:
    app = session.get(f"/apps/{APP}")
    reason = app.get("status_reason") or ""
    cure = f"; look at 'stackyard events {APP}', and deploy again"
    yield Found("release", app["status"] != "ERROR", reason + cure if app["status"] == "ERROR" else str(app["release"]))


def _groups(session: Session) -> Iterator[Found]:
    for group in session.get(f"/apps/{APP}/groups"):
        lacking = [each["name"] for each in group["members"] if each["state"] != "synced"]
        cure = f"{', '.join(lacking)} not synced: {group['reason'] or 'they join by themselves; look again soon'}"
        well = "; ".join(words for words in ("all members are synced", shared(group)) if words)
        yield Found(f"group {group['name']}", not lacking, cure if lacking else well)


def _replicas(session: Session) -> Iterator[Found]:
    seen = session.get(f"/apps/{APP}/processes")
    ill = [each for each in seen if each["state"] not in ("running", "exited")]
    for each in ill:
        name = f"{each['service']}.{each['replica']}"
        yield Found(f"replica {name}", False, f"is {each['state']}: {each['reason'] or 'no reason known'}")
    if not ill:
        yield Found("replicas", True, f"all {sum(each['state'] == 'running' for each in seen)} run")


def _services(session: Session, progress: output.Progress) -> list[Found]:
    """Run the services' own checks: whether each may be upgraded, and whether all answer."""
    begun = session.post(f"/apps/{APP}/checks", {})
    paths = [f"/apps/{APP}/jobs/{quote(job['uuid'])}" for job in begun]
    with progress.step("services' own checks"):
        done = waiting.until(lambda: checks.ended(session, paths), "the services' checks", checks.SECONDS)
    cure = f"; see 'stackyard logs {APP} --service %s'"
    return [
        Found(
            f"services ({job['service']})",
            job["status"] == "done",
            "" if job["status"] == "done" else f"{job['status_reason']}{cure % job['service']}",
        )
        for job in done
    ]


# --- what a deployment would change ---------------------------------------------------------------


def preview(deploying: Deploying, wanted: Inputs) -> Json | None:
    """Return what a push of the package would change; None where nothing is deployed yet."""
    there = deploying.config()
    if not there:
        return None
    packed = archive.pack(wanted.folder)
    url = there.get(URL_KEY) or ""
    if "://" in wanted.address:
        url = wanted.url({})
    config = wanted.config(url, platform_url(deploying.session), there)
    asked = {"digest": packed.digest, "config": config, "scale": dict(wanted.replicas)}
    path = f"/apps/{APP}/preview"
    try:
        found: Json = deploying.session.post(path, asked)
    except errors.NotFound:
        deploying.session.upload("/sources", packed.stream, "application/gzip")
        found = deploying.session.post(path, asked)
    return found


def tell(found: Json | None, wanted: Inputs) -> None:
    """Print what would change, for people."""
    if found is None:
        click.echo(f"nothing is deployed yet; deploy makes all of the package {wanted.package}")
        return
    for line in _told(found):
        click.echo(line)


def _told(found: Json) -> Iterator[str]:
    lines = [*_config(found), *_services_told(found), *_images(found), *_scale(found)]
    if not lines:
        yield f"nothing would change; release {found['release']} serves"
        return
    yield from lines
    yield "stages: " + (" → ".join(f"{each['stage']} {each['service']}" for each in found["stages"]) or "none")
    for file in found["files"]:
        yield file["diff"]


def _config(found: Json) -> Iterator[str]:
    for each in found["config"]:
        yield f"config {each['key']}: {each['change']}{' (secret)' if each['secret'] else ''}"


def _services_told(found: Json) -> Iterator[str]:
    for each in found["services"]:
        fields = ", ".join(each["fields"])
        yield f"service {each['name']}: {each['change']}{f' ({fields})' if fields else ''}"


def _images(found: Json) -> Iterator[str]:
    for each in found["images"]:
        if each["newest"] != each["now"]:
            now, newest = (output.short(digest or "") or "not made yet" for digest in (each["now"], each["newest"]))
            yield f"image {each['image']}: {now} → {newest}"


def _scale(found: Json) -> Iterator[str]:
    for each in found["scale"]:
        yield f"scale {each['service']}: {each['now']} → {each['then']}"
