# SPDX-License-Identifier: Apache-2.0
"""How records look in Solum's words; the only place where its statuses exist. One file per noun."""

from __future__ import annotations

from stackyard.api.application_deployment.views.apps import address, addresses, app, environment
from stackyard.api.application_deployment.views.backups import backup
from stackyard.api.application_deployment.views.form import View
from stackyard.api.application_deployment.views.platform import language_pack, platform
from stackyard.api.application_deployment.views.processes import group, process
from stackyard.api.application_deployment.views.releases import event, release
from stackyard.api.application_deployment.views.workflows import rollback, scaling, workflow

__all__ = [
    "View",
    "address",
    "addresses",
    "app",
    "backup",
    "environment",
    "event",
    "group",
    "language_pack",
    "platform",
    "process",
    "release",
    "rollback",
    "scaling",
    "workflow",
]
