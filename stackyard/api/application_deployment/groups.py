# SPDX-License-Identifier: Apache-2.0
"""Requests on clustered groups: how they are, and which member begins one that was lost. Called through the routes.

Who is synced is read live from the cluster; members say it by their health check.
"""

from __future__ import annotations

from stackyard.api.application_deployment import environments, views
from stackyard.api.call import Call, Reply
from stackyard.intents.groups import GroupKnown, named
from stackyard.model import errors
from stackyard.model.applications import Deployment
from stackyard.model.ports import Replica


def index(call: Call) -> Reply:
    """List an environment's groups with their members."""
    of = environments.deployment(call)
    found = call.services.intents.groups.list(of)
    living = _living(call, of) if found else {}
    return Reply(data=[views.group(each, living, of.status_reason) for each in found])


def recover(call: Call) -> Reply:
    """Have a lost group begun by the member that the body names; Conflict while a member of it is synced."""
    of = environments.deployment(call)
    known = named(call.services.intents.groups.list(of), call.args["group"])
    living = _living(call, of)
    serving = [name for name in known.members if name in living and living[name].state == "running"]
    if serving:
        raise errors.Conflict(f"group {known.name} lives: {', '.join(serving)} synced; there is nothing to recover")
    found = _recovered(call, of, known)
    return Reply(202, views.group(found, living, of.status_reason))


def _recovered(call: Call, of: Deployment, known: GroupKnown) -> GroupKnown:
    intents = call.services.intents.groups
    return intents.recover(call.caller, call.target.id, known.name, call.body["member"], of.environment)


def _living(call: Call, of: Deployment) -> dict[str, Replica]:
    """Return the newest living replica of each service."""
    access = environments.reach(call, of)
    runs = call.services.workloads.glance(access, of.workload_id) if access else []
    return {run.service: task for run in runs for task in run.tasks if task.state != "exited"}
