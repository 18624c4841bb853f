# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of the bodies of the application-deployment API."""

from __future__ import annotations

from typing import Any

from stackyard.model.buildpacks import MAX_BUILDPACKS

Schema = dict[str, Any]

# Solum's client sends this with every body; it says nothing that the address does not.
BASE_URL: Schema = {"type": ["string", "null"], "maxLength": 2048}
DESCRIPTION: Schema = {"type": ["string", "null"], "maxLength": 255}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
SERVICE: Schema = {"type": "string", "minLength": 1, "maxLength": 63}


def _object(properties: Schema, *required: str) -> Schema:
    return {
        "type": "object",
        "properties": {"base_url": BASE_URL, **properties},
        "required": list(required),
        "additionalProperties": False,
    }


APP = _object(
    {
        "name": {
            "type": "string",
            "pattern": r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z",
            "description": (
                "must be a DNS label: 1 to 63 small letters, digits and '-', not beginning or ending with '-'"
            ),
        },
        "description": DESCRIPTION,
        "cluster": {"type": ["string", "null"], "maxLength": 255},
    },
    "name",
)
ENVIRONMENT: Schema = {"type": ["string", "null"], "maxLength": 63}
NEW_ENVIRONMENT = _object(
    {
        "name": {"type": "string", "minLength": 1, "maxLength": 63},
        "cluster": {"type": ["string", "null"], "maxLength": 255},
    },
    "name",
)
APP_CHANGES = _object({"description": DESCRIPTION}, "description")

SCALE: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 100,
    "propertyNames": SERVICE,
    "additionalProperties": COUNT,
}

SECRETS = "secrets"
"""The key under which reading config lists the secret ones; so it is none of config."""
VALUE: Schema = {"type": "string", "maxLength": 65536}
KEY: Schema = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]{0,254}\Z"}

CONFIG: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 500,
    "propertyNames": {
        "pattern": KEY["pattern"],
        "description": "must have keys of letters, digits and '_', not beginning with a digit",
    },
    "additionalProperties": {
        "type": ["string", "null", "object"],
        "maxLength": 65536,
        # A secret, or the value that another key has before this request.
        "properties": {"secret": VALUE, "from": KEY},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
}

_FILE: Schema = {"type": "string", "minLength": 1, "maxLength": 262144}
FILE = _object({"content": _FILE}, "content")
FILE_DIFF = _object({"content": {**_FILE, "type": ["string", "null"]}}, "content")

PREVIEW = _object(
    {
        "digest": {"type": "string", "maxLength": 80},
        "config": {**CONFIG, "minProperties": 0},
        "scale": {**SCALE, "minProperties": 0},
    },
    "digest",
)

JOB = _object(
    {
        "command": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1000,
            "items": {"type": "string", "maxLength": 131072},
        },
        "service": {"type": ["string", "null"], "maxLength": 63},
        "terminal": {"type": ["boolean", "null"]},
        "attached": {"type": ["boolean", "null"]},
    },
    "command",
)

BACKUP = _object({"service": {"type": ["string", "null"], "maxLength": 63}})

WORKFLOW = _object(
    {
        "app_id": {"type": ["string", "null"], "maxLength": 255},
        "actions": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "uniqueItems": True,
            "items": {"enum": ["build", "deploy", "rebase", "scale"]},
        },
        "source": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "repository": {"type": ["string", "null"], "maxLength": 2048},
                "revision": {"type": ["string", "null"], "maxLength": 255},
                "digest": {"type": ["string", "null"], "maxLength": 71},
            },
        },
        "force": {"type": ["boolean", "null"]},
        "du_id": {"type": ["string", "integer", "null"], "maxLength": 64, "minimum": 1, "maximum": 2**31 - 1},
        "scale_target": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
        "process": {"type": ["string", "null"], "maxLength": 63},
        "environment": ENVIRONMENT,
        "from": ENVIRONMENT,
        "buildpacks": {
            "type": ["array", "null"],
            "maxItems": MAX_BUILDPACKS,
            "items": {"type": "string", "minLength": 1, "maxLength": 2304},
        },
    }
)

_PEM: Schema = {"type": ["string", "null"], "maxLength": 65536}

DOMAIN = _object(
    {
        "service": {"type": ["string", "null"], "maxLength": 63},
        "environment": {"type": ["string", "null"], "maxLength": 63},
        "https_only": {"type": ["boolean", "null"]},
        "certificate": _PEM,
        "key": _PEM,
        "own_certificate": {"enum": [False, None]},
    }
)

RECOVERY = _object({"member": {"type": "string", "minLength": 1, "maxLength": 63}}, "member")

TRUST = _object(
    {
        "auth_url": {"type": "string", "minLength": 1, "maxLength": 500},
        "username": {"type": "string", "minLength": 1, "maxLength": 255},
        "password_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "own_ca": {"type": "boolean"},
    },
    "auth_url",
    "username",
    "password_key",
)

MAINTENANCE = _object(
    {
        "enabled": {"type": "boolean"},
        "text": {"type": ["string", "null"], "maxLength": 500},
        "page": {"type": ["string", "null"], "maxLength": 65536},
    },
    "enabled",
)
