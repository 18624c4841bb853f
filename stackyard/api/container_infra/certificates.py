# SPDX-License-Identifier: Apache-2.0
"""Requests on certificates: a cluster's CA, and signing with it. Called through the table of routes.

The CA is kept sealed in the cluster's row by the worker; only here and in the worker is it opened.
"""

from __future__ import annotations

import json

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import views
from stackyard.model import errors
from stackyard.model.clusters import Cluster
from stackyard.model.ports import Authority

HOURS = 24


def find(call: Call) -> Cluster:
    """Return the cluster that the body names; raises BadInput, as upstream, when there is none."""
    try:
        return call.services.intents.clusters.find(call.caller, call.body["cluster_uuid"])
    except errors.NotFound as error:
        raise errors.BadInput(str(error)) from error


def show(call: Call) -> Reply:
    """Show the certificate of the cluster's CA; `call.target` is the cluster."""
    return Reply(data=views.certificate(call, call.target, authority(call, call.target).cert))


def sign(call: Call) -> Reply:
    """Sign a request for a client certificate with the cluster's CA."""
    ca = authority(call, call.target)
    pem = call.services.certificates.sign(ca, call.body["csr"], HOURS)
    return Reply(201, {**views.certificate(call, call.target, pem), "csr": call.body["csr"]})


def authority(call: Call, cluster: Cluster) -> Authority:
    """Return the cluster's CA; raises Conflict while it is not made yet."""
    if not cluster.secrets:
        raise errors.Conflict(f"cluster {cluster.name} has no certificate authority yet; try again when it is further")
    kept = json.loads(call.services.secrets.open(cluster.secrets))
    return Authority(cert=kept["cert"], key=kept["key"])
