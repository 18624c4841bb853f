# SPDX-License-Identifier: Apache-2.0
"""Requests on applications. Called through the table of routes."""

from __future__ import annotations

import time

from stackyard.api.application_deployment import environments, schemas, views
from stackyard.api.call import Call, Reply
from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application
from stackyard.model.logs import moment
from stackyard.model.phase import ENDING

EVENTS_QUERY = environments.QUERY | {"after", "since", "tail"}


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
    """Show an application as it is in an environment; one that is being removed is there until all of it is gone."""
    if call.target.phase not in ENDING:
        environments.deployment(call)
    return Reply(data=_shown(call, call.target, environments.chosen(call)))


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
    asked = {key: value for key, value in call.body.items() if isinstance(value, dict)}
    copies = {key: value["from"] for key, value in asked.items() if "from" in value}
    secret = [key for key in asked if key not in copies]
    changes = {key: asked[key]["secret"] if key in secret else call.body[key] for key in call.body if key not in copies}
    if changes.get(schemas.SECRETS) is not None or schemas.SECRETS in copies:
        raise errors.BadInput(f"{schemas.SECRETS} can't be a key of config, since it lists those that are secret")
    intents = call.services.intents.releases
    environment = environments.chosen(call)
    release = intents.configure(call.caller, call.target.id, changes, secret, environment, copies)
    return Reply(202, {"release": release.number if release else None, "environment": environment})


def events(call: Call) -> Reply:
    """Show the history of an application, or of one environment.

    Of that what came behind the event `after`, or at or after the time `since`; at most the newest `tail`.
    """
    query = call.query
    after, tail = _number(query.get("after"), "after", 0), _number(query.get("tail"), "tail", None)
    since = moment(query["since"], time.time()) if query.get("since") else ""
    found = call.services.intents.applications.events(call.target, query.get("environment"))
    wanted = [event for event in found if event.id > (after or 0) and f"{event.at:%Y-%m-%dT%H:%M:%S.%f}" >= since[:26]]
    return Reply(data=[views.event(event) for event in (wanted if tail is None else wanted[len(wanted) - tail :])])


def _number(text: str | None, name: str, default: int | None) -> int | None:
    """Return a number of the query; raises BadInput."""
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise errors.BadInput(f"{name} must be a number, not '{text[:40]}'")
    return int(text)


def _shown(call: Call, app: Application, environment: str = PRODUCTION) -> views.View:
    return views.app(call, app, call.services.intents.applications.progress([app], environment), environment)
