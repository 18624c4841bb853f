# SPDX-License-Identifier: Apache-2.0
"""Requests on processes: what runs now, read live from the cluster. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import environments, views
from stackyard.api.call import Call, Reply


def index(call: Call) -> Reply:
    """List the replicas of an environment."""
    of = environments.deployment(call)
    cluster = call.services.intents.deployments.place(call.target, of.environment)
    if cluster is None or not cluster.observed.nodes:
        return Reply(data=[])
    runs = call.services.workloads.runs(call.services.access(cluster), of.workload_id)
    found = [views.process(run, replica) for run in runs for replica in run.tasks]
    return Reply(data=sorted(found, key=lambda each: (each["service"], each["release"], each["replica"])))
