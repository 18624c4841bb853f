# SPDX-License-Identifier: Apache-2.0
"""Requests on applications. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import views
from stackyard.api.call import Call, Reply
from stackyard.model.applications import Application


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
    """Show an application."""
    return Reply(data=_shown(call, call.target))


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
    app = call.services.intents.applications.scale(call.caller, call.target.id, call.body)
    return Reply(202, app.scale)


def config(call: Call) -> Reply:
    """Show an application's config in clear."""
    return Reply(data=call.services.intents.releases.config(call.target.config), headers={"Cache-Control": "no-store"})


def configure(call: Call) -> Reply:
    """Set and unset config; tell the release that carries it, null before the first push."""
    release = call.services.intents.releases.configure(call.caller, call.target.id, call.body)
    return Reply(202, {"release": release.number if release else None})


def events(call: Call) -> Reply:
    """Show the history of an application."""
    found = call.services.intents.applications.events(call.target)
    return Reply(data=[{"at": event.at.isoformat(), "kind": event.kind, "message": event.message} for event in found])


def _shown(call: Call, app: Application) -> views.View:
    return views.app(call, app, call.services.intents.applications.progress([app]))
