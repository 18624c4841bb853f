# SPDX-License-Identifier: Apache-2.0
"""Requests on processes: what runs now, read live from the cluster. Called through the table of routes."""

from __future__ import annotations

import dataclasses
import time

from stackyard.api.application_deployment import environments, views
from stackyard.api.call import Call, Reply
from stackyard.model import errors
from stackyard.model.masking import mask
from stackyard.model.plan import restarts
from stackyard.model.ports import ClusterAccess, RunSeen

QUERY = environments.QUERY | {"usage"}


def index(call: Call) -> Reply:
    """List the replicas of an environment; with `usage=1` what they use too, which takes half a second."""
    of = environments.deployment(call)
    access = environments.reach(call, of)
    if access is None:
        return Reply(data=[])
    usage = call.query.get("usage", "").lower() in ("1", "true")
    runs = call.services.workloads.glance(access, of.workload_id, usage=usage)
    found = [view for run in runs for view in _of_run(call, access, run)]
    return Reply(data=sorted(found, key=lambda each: (each["service"], each["release"], each["replica"])))


def traffic(call: Call) -> Reply:
    """Tell what an environment was asked in the last seconds: requests and errors a second, times in ms."""
    return Reply(data=dataclasses.asdict(call.services.traffic(environments.deployment(call).workload_id)))


def _of_run(call: Call, access: ClusterAccess, run: RunSeen) -> list[views.View]:
    loop = restarts.loop(run, time.time())
    if loop:
        loop = restarts.loop(run, time.time(), _last_line(call, access, run))
    return [views.process(run, replica, loop) for replica in run.tasks]


def _last_line(call: Call, access: ClusterAccess, run: RunSeen) -> str:
    """Return what the run's newest failed container wrote last, without secrets; nothing when that can't be had."""
    try:
        said = call.services.workloads.tail(access, run.name, 1)
    except errors.StackyardError:
        return ""
    hidden = call.services.intents.releases.hidden(environments.deployment(call))
    return restarts.last_line(mask(said, hidden))
