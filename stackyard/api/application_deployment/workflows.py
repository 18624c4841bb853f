# SPDX-License-Identifier: Apache-2.0
"""Requests on workflows: pushes, and through the same door rolling back and scaling. Called by the table of routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stackyard.api.application_deployment import views
from stackyard.api.call import Call, Reply
from stackyard.intents.sources import source
from stackyard.model import errors


def index(call: Call) -> Reply:
    """List an application's pushes, newest first."""
    builds = call.services.intents.builds.list(call.target)
    return Reply(data=[views.workflow(call, call.target, build) for build in builds])


def show(call: Call) -> Reply:
    """Show a push by id or number; a rollback by its id."""
    intents, ident = call.services.intents, call.args["workflow"]
    try:
        return Reply(data=views.workflow(call, call.target, intents.builds.find(call.target, ident)))
    except errors.NotFound:
        if ident.isdigit():
            raise
    try:
        release = intents.releases.find(call.target, ident)
    except errors.NotFound:
        raise errors.NotFound(f"there is no workflow '{ident[:64]}'") from None
    return Reply(data=views.rollback(call, call.target, release, intents.deployments.of(call.target)))


def create(call: Call) -> Reply:
    """Begin what the actions say: build and deploy, deploy an older release, or scale."""
    actions = tuple(sorted(call.body.get("actions") or ("build", "deploy")))
    if actions not in _ACTIONS:
        allowed = "; ".join(", ".join(names) for names in _ACTIONS)
        raise errors.BadInput(f"actions must be one of: {allowed}")
    return _ACTIONS[actions](call)


def _push(call: Call) -> Reply:
    if not call.body.get("source"):
        raise errors.BadInput("source is required: {'repository', 'revision'} or {'digest', 'revision'}")
    wanted = source(call.body["source"], force=bool(call.body.get("force")))
    if wanted.digest and not call.services.sources.exists(wanted.digest):
        raise errors.BadInput("source.digest names no stored archive; upload it with POST /v1/sources first")
    same = call.services.intents.builds.unchanged(call.target, wanted)
    if same:
        return Reply(data={**views.workflow(call, call.target, same), "unchanged": True})
    build = call.services.intents.builds.push(call.caller, call.target.id, wanted)
    return Reply(data=views.workflow(call, call.target, build))


def _rollback(call: Call) -> Reply:
    if call.body.get("du_id") is None:
        raise errors.BadInput("du_id is required: the number or id of the release to deploy")
    intents = call.services.intents
    release = intents.releases.rollback(call.caller, call.target.id, str(call.body["du_id"]))
    return Reply(data=views.rollback(call, call.target, release, intents.deployments.of(call.target)))


def _scale(call: Call) -> Reply:
    count = call.body.get("scale_target")
    if count is None:
        raise errors.BadInput("scale_target is required: the number of replicas")
    wanted = {call.body.get("process") or "web": count}
    app = call.services.intents.applications.scale(call.caller, call.target.id, wanted)
    return Reply(data=views.scaling(call, app, count))


_ACTIONS: Mapping[tuple[str, ...], Callable[[Call], Reply]] = {
    ("build", "deploy"): _push,
    ("deploy",): _rollback,
    ("scale",): _scale,
}
