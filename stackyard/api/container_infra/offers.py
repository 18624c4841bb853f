# SPDX-License-Identifier: Apache-2.0
"""Requests for what clusters may be made of. An extension of ours; called through the table of routes."""

from __future__ import annotations

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import views


def show(call: Call) -> Reply:
    """Tell images, flavors and networks, and the labels that each engine knows."""
    return Reply(data=views.offers(call.services.intents.offers))
