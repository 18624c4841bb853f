# SPDX-License-Identifier: Apache-2.0
"""Secrets of the package `openstack`: which it needs, and new values for them.

Called by `stackyard openstack`. Values are handed on and kept nowhere but in the application's sealed config.
"""

from __future__ import annotations

import base64
import pathlib
import re
import secrets
from collections.abc import Iterable

import yaml

from stackyard.model import errors

_KEY = re.compile(r"_KEY(_[0-9])?$")
_BYTES = 24


def needed(compose: pathlib.Path) -> list[str]:
    """Return the names that a package's Compose file has under `x-secrets`; raises Unavailable without the file."""
    try:
        return list(yaml.safe_load(compose.read_text()).get("x-secrets") or [])
    except OSError:
        raise errors.Unavailable(
            f"the package is missing: there should be {compose}; install from a checkout"
        ) from None


def made(names: Iterable[str]) -> dict[str, str]:
    """Return a new value for each name: for a key 32 bytes as Fernet has them, else 32 characters."""
    return {name: _key() if _KEY.search(name) else secrets.token_urlsafe(_BYTES) for name in names}


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
