# SPDX-License-Identifier: Apache-2.0
"""The state folder: where everything of one platform lies, and how files get there.

Used by all of `stackyard.local`. The folder is 0700 and files are written whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import secrets
import tempfile
from collections.abc import Callable, Iterator

from stackyard.model import errors

MAX_PATH = 78  # the longest Unix socket in it has 29 more; the kernel takes 107
FOLDERS = ("secrets", "run", "logs", "keystone", "registry", "registry/data", "router", "sources", "trees")


class State:
    """Paths in one state folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Raises BadInput when the path is too long for the sockets in it."""
        self.folder = pathlib.Path(folder).expanduser().absolute()
        if len(os.fsencode(self.folder)) > MAX_PATH:
            raise errors.BadInput(
                f"the state folder's path has {len(os.fsencode(self.folder))} bytes and Unix sockets in it allow"
                f" {MAX_PATH}: choose a shorter one with --state-dir"
            )

    @property
    def conf(self) -> pathlib.Path:
        """Return the options file of all processes."""
        return self.folder / "stackyard.conf"

    @property
    def clouds(self) -> pathlib.Path:
        """Return the clouds.yaml for users."""
        return self.folder / "clouds.yaml"

    @property
    def authority(self) -> pathlib.Path:
        """Return the CA certificate by which clients verify the platform's applications."""
        return self.folder / "certificates" / "stackyard-ca.crt"

    def __truediv__(self, name: str) -> pathlib.Path:
        """Return a path in the folder."""
        return self.folder / name

    def make(self) -> None:
        """Make the folder (0700) and those in it; raises BadInput where that is not possible."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            for name in FOLDERS:
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise errors.BadInput(f"the state folder can't be made: {error}; choose another with --state-dir") from None

    def password(self, name: str) -> str:
        """Return the generated password of this name, making it the first time."""
        path = self.folder / "secrets" / f"{name}.password"
        if not path.exists():
            write(path, secrets.token_urlsafe(24) + "\n")
        return path.read_text().strip()

    @contextlib.contextmanager
    def alone(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let only one `up` or `down` work at a time; a second one waits and says so."""
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)  # the folder itself: there is no file to leave behind
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("another 'stackyard up' or 'down' is at work on this platform; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def write(path: pathlib.Path, text: str, mode: int = 0o600) -> bool:
    """Replace a file whole; return whether that changed anything."""
    if path.exists() and path.read_text() == text:
        return False
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    pathlib.Path(draft).replace(path)
    return True
