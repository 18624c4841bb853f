# SPDX-License-Identifier: Apache-2.0
"""Requests on workflows: pushes, and through the same door rolling back and scaling. Called by the table of routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stackyard.api.application_deployment import views
from stackyard.api.call import Call, Reply
from stackyard.intents.sources import source
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION


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
    found = next(
        (each for each in intents.deployments.list(call.target) if each.environment == release.environment), None
    )
    return Reply(data=views.rollback(call, call.target, release, found))


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
    wanted, environment = source(call.body["source"], force=bool(call.body.get("force"))), _environment(call)
    call.services.intents.deployments.of(call.target, environment)
    if wanted.digest and not call.services.sources.exists(wanted.digest):
        raise errors.BadInput("source.digest names no stored archive; upload it with POST /v1/sources first")
    buildpacks = call.body.get("buildpacks")
    same = call.services.intents.builds.unchanged(call.target, wanted, environment, buildpacks)
    if same:
        return Reply(data={**views.workflow(call, call.target, same), "unchanged": True})
    build = call.services.intents.builds.push(call.caller, call.target.id, wanted, environment, buildpacks)
    return Reply(data=views.workflow(call, call.target, build))


def _rebase(call: Call) -> Reply:
    build = call.services.intents.builds.rebase(call.caller, call.target.id, _environment(call))
    return Reply(data=views.workflow(call, call.target, build))


def _environment(call: Call) -> str:
    return call.body.get("environment") or PRODUCTION


def _deploy(call: Call) -> Reply:
    """Deploy a release by number or id, or that which serves in another environment."""
    which, source, environment = call.body.get("du_id"), call.body.get("from"), _environment(call)
    intents = call.services.intents
    if which is not None and source is not None:
        raise errors.BadInput("give du_id or from, not both")
    if which is not None:
        release = intents.releases.deploy(call.caller, call.target.id, str(which), environment)
    elif source is not None:
        release = intents.releases.promote(call.caller, call.target.id, source or None, environment)
    else:
        raise errors.BadInput(
            "du_id is required: the number or id of the release to deploy; or from: the environment whose release to "
            "promote (empty: the one before)"
        )
    return Reply(data=views.rollback(call, call.target, release, intents.deployments.of(call.target, environment)))


def _scale(call: Call) -> Reply:
    count = call.body.get("scale_target")
    if count is None:
        raise errors.BadInput("scale_target is required: the number of replicas")
    wanted = {call.body.get("process") or "web": count}
    scaled = call.services.intents.applications.scale(call.caller, call.target.id, wanted, _environment(call))
    return Reply(data=views.scaling(call, call.target, scaled, count))


_ACTIONS: Mapping[tuple[str, ...], Callable[[Call], Reply]] = {
    ("build", "deploy"): _push,
    ("deploy",): _deploy,
    ("rebase",): _rebase,
    ("scale",): _scale,
}
