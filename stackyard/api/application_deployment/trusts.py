# SPDX-License-Identifier: Apache-2.0
"""Requests on an application's trust: whether the users of the Keystone that it is are served here, too."""

from __future__ import annotations

from typing import Any

from stackyard.api.call import Call, Reply
from stackyard.model.trusts import Trust


def show(call: Call) -> Reply:
    """Tell how tokens of its users are validated."""
    return Reply(data=_shown(call.services.intents.trusts.of(call.target)))


def put(call: Call) -> Reply:
    """Serve its users, too."""
    return Reply(data=_shown(call.services.intents.trusts.put(call.caller, call.target.id, dict(call.body))))


def delete(call: Call) -> Reply:
    """Serve its users no longer."""
    call.services.intents.trusts.remove(call.caller, call.target.id)
    return Reply(204)


def _shown(trust: Trust) -> dict[str, Any]:
    return {
        "auth_url": trust.auth_url,
        "username": trust.username,
        "password_key": trust.password_key,
        "own_ca": trust.own_ca,
        "created_at": trust.created_at.isoformat(),
    }
