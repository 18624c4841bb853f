# SPDX-License-Identifier: Apache-2.0
"""Secrets of the package `openstack`: which it needs, and new values for them.

Called by `stackyard openstack`. Values are handed on and kept nowhere but in the application's sealed config.
"""

from __future__ import annotations

import base64
import pathlib
import re
import secrets
from collections.abc import Collection, Iterable

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


def changes(names: Iterable[str], there: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the change of config that gives it the names that it lacks; the values of the others stay unread.

    Where a third key of a kind is new, it takes the place of the second, which was the primary one.
    """
    lacking = [name for name in names if name not in there]
    moved = {name: f"{name.removesuffix('_2')}_1" for name in lacking if name.endswith("_KEY_2")}
    taken = {name: {"from": source} for name, source in moved.items() if source in there}
    return taken | {name: {"secret": value} for name, value in made(set(lacking) - taken.keys()).items()}


def made(names: Iterable[str]) -> dict[str, str]:
    """Return a new value for each name: for a key 32 bytes as Fernet has them, else 32 characters."""
    return {name: _key() if _KEY.search(name) else secrets.token_urlsafe(_BYTES) for name in names}


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
