# SPDX-License-Identifier: Apache-2.0
"""Requests on environments, and which environment any other request means. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import views
from stackyard.api.application_deployment.git import repository_of
from stackyard.api.call import Call, Reply
from stackyard.model.applications import PRODUCTION, Deployment
from stackyard.model.ports import ClusterAccess

QUERY = frozenset({"environment"})


def chosen(call: Call) -> str:
    """Return the environment that the query names; production where it names none."""
    return call.query.get("environment") or PRODUCTION


def deployment(call: Call) -> Deployment:
    """Return the environment that the query names; raises NotFound, telling those that there are."""
    return call.services.intents.deployments.of(call.target, chosen(call))


def reach(call: Call, of: Deployment) -> ClusterAccess | None:
    """Return how to talk to an environment's cluster; None before its first release, and where no node can be asked."""
    return call.services.reach(call.services.intents.deployments.cluster(of)) if of.release else None


def index(call: Call) -> Reply:
    """List an application's environments in the order in which releases go through them."""
    intents, app = call.services.intents, call.target
    found = intents.deployments.list(app)
    return Reply(data=[views.environment(call, app, each, intents.applications.progress) for each in found])


def create(call: Call) -> Reply:
    """Make an environment, empty until the first push or promotion."""
    intents, app = call.services.intents, call.target
    made = intents.deployments.add(call.caller, app.id, call.body["name"], call.body.get("cluster"))
    return Reply(201, views.environment(call, app, made, intents.applications.progress))


def show(call: Call) -> Reply:
    """Show an environment."""
    intents, app = call.services.intents, call.target
    found = intents.deployments.of(app, call.args["environment"])
    return Reply(data=views.environment(call, app, found, intents.applications.progress))


def delete(call: Call) -> Reply:
    """Ask for an environment to go with what runs there."""
    found = call.services.intents.deployments.of(call.target, call.args["environment"])
    call.services.intents.deployments.remove(call.caller, call.target.id, found.environment)
    call.services.repositories.delete(repository_of(found))  # what is left of it goes with the application
    return Reply(202)
