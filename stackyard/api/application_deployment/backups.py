# SPDX-License-Identifier: Apache-2.0
"""Requests on backups: made, verified, restored, deleted. Called through the table of routes.

Nothing of a backup's content passes through the API.
"""

from __future__ import annotations

from stackyard.api.application_deployment import environments, views
from stackyard.api.call import Call, Reply


def index(call: Call) -> Reply:
    """List the backups of an application, newest first."""
    found = call.services.intents.backups.list(call.target, call.query.get("environment"))
    return Reply(data=[views.backup(call, each) for each in found])


def create(call: Call) -> Reply:
    """Back up a service, by default each that says how it is backed up."""
    service = (call.body or {}).get("service") or ""
    made = call.services.intents.backups.create(call.caller, call.target.id, service, environments.chosen(call))
    return Reply(202, [views.backup(call, each) for each in made])


def show(call: Call) -> Reply:
    """Show a backup."""
    return Reply(data=views.backup(call, call.services.intents.backups.find(call.target, call.args["backup"])))


def verify(call: Call) -> Reply:
    """Restore a backup beside its service, and check it there."""
    asked = call.services.intents.backups.verify(call.caller, call.target.id, call.args["backup"])
    return Reply(202, views.backup(call, asked))


def restore(call: Call) -> Reply:
    """Give the service what a backup holds."""
    asked = call.services.intents.backups.restore(call.caller, call.target.id, call.args["backup"])
    return Reply(202, views.backup(call, asked))


def delete(call: Call) -> Reply:
    """Ask for a backup to go."""
    call.services.intents.backups.delete(call.caller, call.target.id, call.args["backup"])
    return Reply(202)
