# SPDX-License-Identifier: Apache-2.0
"""Releases, and the lines of history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stackyard.api.application_deployment.views.form import View, time_of
from stackyard.model.applications import Release
from stackyard.model.records import Event


def release(record: Release, config_keys: Sequence[str], serving: Mapping[str, int]) -> View:
    """Return a release; of its config only the names. `serving` has the release that serves by environment."""
    return {
        "uuid": record.id,
        "number": record.number,
        "environment": record.environment,
        "revision": record.revision,
        "summary": record.summary,
        "images": {service.name: service.image for service in record.spec.services},
        "config_keys": list(config_keys),
        "created_at": time_of(record.created_at),
        "current": record.number == serving.get(record.environment),
    }


def event(of: Event) -> View:
    """Return one line of history."""
    return {"id": of.id, "at": of.at.isoformat(), "kind": of.kind, "message": of.message}
