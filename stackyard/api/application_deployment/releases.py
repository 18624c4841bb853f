# SPDX-License-Identifier: Apache-2.0
"""Requests on releases. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import views
from stackyard.api.call import Call, Reply


def index(call: Call) -> Reply:
    """List an application's releases, newest first."""
    intents = call.services.intents
    deployment = intents.deployments.of(call.target)
    serving = deployment.serving if deployment else 0
    found = intents.releases.list(call.target)
    return Reply(data=[views.release(each, sorted(intents.releases.config(each.config)), serving) for each in found])
