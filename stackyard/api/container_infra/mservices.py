# SPDX-License-Identifier: Apache-2.0
"""Requests for the platform's own services: whether workers are at work. Called through the table of routes."""

from __future__ import annotations

from typing import Any

from stackyard.api.call import Call, Reply
from stackyard.api.container_infra import views
from stackyard.model.records import utcnow
from stackyard.model.services import Service


def index(call: Call) -> Reply:
    """List all services, one for each host."""
    with call.services.store.reading() as tx:
        services = tx.services.list()
    return Reply(data={"mservices": [_view(service) for service in services]})


def _view(service: Service) -> dict[str, Any]:
    return {
        "id": service.id,
        "host": service.host,
        "binary": service.binary,
        "state": "up" if service.up(utcnow()) else "down",
        "report_count": service.report_count,
        "disabled": False,
        "disabled_reason": None,
        "created_at": views.time(service.created_at),
        "updated_at": views.time(service.updated_at),
    }
