# SPDX-License-Identifier: Apache-2.0
"""Requests on releases. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import views
from stackyard.api.call import Call, Reply


def index(call: Call) -> Reply:
    """List an application's releases (or those made for one environment), newest first."""
    intents = call.services.intents
    serving = {each.environment: each.serving for each in intents.deployments.list(call.target)}
    found = intents.releases.list(call.target, call.query.get("environment"))
    return Reply(data=[views.release(each, sorted(intents.releases.config(each.config)), serving) for each in found])
