# SPDX-License-Identifier: Apache-2.0
"""The platform itself, and the language packs that it has."""

from __future__ import annotations

import uuid

from stackyard.api.application_deployment.views.form import View
from stackyard.api.call import Call

PACKS = uuid.UUID("6f0f5a0e-7f6b-5b0e-9d57-0d0f4f2b8a11")


def platform(call: Call) -> View:
    """Return the description of the platform."""
    return {
        "uri": f"{call.url}/v1",
        "name": "solum",
        "type": "platform",
        "description": "Applications from source to running, by Stackyard",
        "implementation_version": "1",
        "apps_uri": f"{call.url}/v1/apps",
        "language_packs_uri": f"{call.url}/v1/language_packs",
        "sources_uri": f"{call.url}/v1/sources",
    }


def language_pack(call: Call, name: str, description: str) -> View:
    """Return a language pack; its id follows from its name."""
    ident = str(uuid.uuid5(PACKS, name))
    return {
        "uuid": ident,
        "uri": f"{call.url}/v1/language_packs/{ident}",
        "name": name,
        "type": "language_pack",
        "status": "READY",
        "description": description,
    }
