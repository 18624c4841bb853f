# SPDX-License-Identifier: Apache-2.0
"""Requests on applications. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import environments, schemas, views
from stackyard.api.call import Call, Reply
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application


def find(call: Call) -> Application:
    """Return the application that the path names."""
    return call.services.intents.applications.find(call.caller, call.args["app"])


def index(call: Call) -> Reply:
    """List the project's applications (`all_projects=1`: all, for admins)."""
    intents = call.services.intents.applications
    apps = intents.list(call.caller, everywhere=call.query.get("all_projects", "").lower() in ("1", "true"))
    progress = intents.progress(apps)
    return Reply(data=[views.app(call, app, progress) for app in apps])


def create(call: Call) -> Reply:
    """Make an application, empty until the first push."""
    app = call.services.intents.applications.create(call.caller, call.body)
    return Reply(201, _shown(call, app))


def show(call: Call) -> Reply:
    """Show an application as it is in an environment."""
    return Reply(data=_shown(call, call.target, environments.deployment(call).environment))


def update(call: Call) -> Reply:
    """Change an application's description."""
    description = call.body["description"] or ""
    app = call.services.intents.applications.describe(call.caller, call.target.id, description)
    return Reply(data=_shown(call, app))


def delete(call: Call) -> Reply:
    """Ask for an application to go with all that belongs to it."""
    call.services.intents.applications.destroy(call.caller, call.target.id)
    return Reply(202)


def scale(call: Call) -> Reply:
    """Ask for numbers of replicas by service."""
    intents = call.services.intents.applications
    return Reply(202, intents.scale(call.caller, call.target.id, call.body, environments.chosen(call)).scale)


def config(call: Call) -> Reply:
    """Show an environment's config in clear, but null for what is secret; `secrets` lists the keys of those."""
    of = environments.deployment(call)
    shown: views.View = dict(call.services.intents.releases.shown(of))
    if of.secret_keys:
        shown[schemas.SECRETS] = list(of.secret_keys)
    return Reply(data=shown, headers={"Cache-Control": "no-store"})


def configure(call: Call) -> Reply:
    """Set and unset config; tell the release that carries it, null before the first push."""
    secret = [key for key, value in call.body.items() if isinstance(value, dict)]
    changes = {key: value["secret"] if key in secret else value for key, value in call.body.items()}
    if changes.get(schemas.SECRETS) is not None:
        raise errors.BadInput(f"{schemas.SECRETS} can't be a key of config, since it lists those that are secret")
    intents = call.services.intents.releases
    environment = environments.chosen(call)
    release = intents.configure(call.caller, call.target.id, changes, secret, environment)
    return Reply(202, {"release": release.number if release else None, "environment": environment})


def events(call: Call) -> Reply:
    """Show the history of an application, or of one environment."""
    found = call.services.intents.applications.events(call.target, call.query.get("environment"))
    return Reply(data=[{"at": event.at.isoformat(), "kind": event.kind, "message": event.message} for event in found])


def _shown(call: Call, app: Application, environment: str = PRODUCTION) -> views.View:
    return views.app(call, app, call.services.intents.applications.progress([app], environment), environment)
