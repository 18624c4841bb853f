# SPDX-License-Identifier: Apache-2.0
"""Requests on certificates: a cluster's CA, signing with it, and its rotation. Called through the table of routes.

Every member of the project gets certificates, each in its own name: what the request says of its subject is not
believed. Upstream gives them to the user alone who made the cluster.
"""

from __future__ import annotations

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import views
from stackyard.model import errors
from stackyard.model.clusters import Cluster


def find(call: Call) -> Cluster:
    """Return the cluster that the body names; raises BadInput, as upstream, when there is none."""
    try:
        return call.services.intents.clusters.find(call.caller, call.body["cluster_uuid"])
    except errors.NotFound as error:
        raise errors.BadInput(str(error)) from error


def show(call: Call) -> Reply:
    """Show the certificate of the cluster's CA; `call.target` is the cluster."""
    return Reply(data=views.certificate(call, call.target, call.services.authorities.certificate(call.target)))


def sign(call: Call) -> Reply:
    """Sign a request for a client certificate of the caller, good for as long as the options say."""
    services, caller = call.services, call.caller
    authority = services.authorities.authority(call.target)
    subject = {"CN": caller.user_name or caller.user_id, "O": caller.project_id, "OU": caller.user_id}
    hours = services.conf.machines.client_certificate_hours
    pem = services.certificates.sign(authority, call.body["csr"], hours, subject)
    services.intents.clusters.signed(caller, call.target)
    kind = call.body.get("ca_cert_type")
    told = {"csr": call.body["csr"], **({"ca_cert_type": kind} if kind else {})}
    return Reply(201, {**views.certificate(call, call.target, pem), **told})


def rotate(call: Call) -> Reply:
    """Ask for a new CA; certificates of the present one go on working."""
    call.services.intents.rolls.rotate(call.caller, call.target.id)
    return Reply(202, {"uuid": call.target.id})
