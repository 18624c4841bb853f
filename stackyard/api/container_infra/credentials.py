# SPDX-License-Identifier: Apache-2.0
"""Requests on the credentials of a cluster as a whole. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.call import Call, Reply


def rotate(call: Call) -> Reply:
    """Ask for a new CA; every client certificate that was signed before is revoked."""
    call.services.intents.rolls.rotate(call.caller, call.target.id, revoke=True)
    return Reply(202, {"uuid": call.target.id})
