# SPDX-License-Identifier: Apache-2.0
"""Requests on language packs: what plain source is built with. Called through the table of routes."""

from __future__ import annotations

from stackyard.api.application_deployment import views
from stackyard.api.call import Call, Reply
from stackyard.model import errors


def index(call: Call) -> Reply:
    """List the language packs that the platform has."""
    return Reply(data=_packs(call))


def show(call: Call) -> Reply:
    """Show one by name or id."""
    ident = call.args["pack"]
    for pack in _packs(call):
        if ident in (pack["name"], pack["uuid"]):
            return Reply(data=pack)
    raise errors.NotFound(f"language pack '{ident[:64]}' could not be found")


def _packs(call: Call) -> list[views.View]:
    return [views.language_pack(call, name, text) for name, text in sorted(call.services.language_packs.items())]
