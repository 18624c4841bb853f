# SPDX-License-Identifier: Apache-2.0
"""Secrets sealed with Fernet (AES-128-CBC with HMAC-SHA256): the `Secrets` port.

Used by intents and the worker for all that the database must not show in clear. The key lives in
a file of the state folder (0600), never in the database; knows nothing of what it seals.
"""

from __future__ import annotations

import os
import pathlib
import tempfile

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from stackyard.model import errors


def ensure_key(path: pathlib.Path) -> None:
    """Make a key file (0600) if there is none; of two at once, both end with the same key."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".key-")
    with os.fdopen(handle, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # atomic, and unlike rename never replaces a key that is in use
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)


class FernetSecrets:
    """Seals with the first key of a file (one key a line) and opens with any: newest key first."""

    def __init__(self, path: pathlib.Path) -> None:
        """Read the keys at `path`; raises Unavailable when there are none that fit."""
        try:
            keys = path.read_bytes().split()
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except (OSError, ValueError) as error:
            raise errors.Unavailable(f"no usable key in {path}: {error}; `stackyard up` makes one") from None

    def seal(self, clear: str) -> str:
        """Return the sealed form, url-safe base64 text."""
        return self._fernet.encrypt(clear.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the clear text; raises GiveUp when it was sealed with another key or changed since."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise errors.GiveUp(
                "a stored secret can't be opened: it was sealed with another key (was the state folder's key replaced?)"
            ) from None
