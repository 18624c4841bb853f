# SPDX-License-Identifier: Apache-2.0
"""The local signal that there is work: one datagram to each worker process of this machine.

Losing one is harmless, since workers also poll. PostgreSQL's NOTIFY or a broker may take this place
for platforms of several machines.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import socket


class Bell:
    """Wakes the workers that listen in `folder`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def ring(self) -> None:
        """Wake all workers; remove the sockets of dead ones."""
        for path in self.folder.glob("worker-*.sock"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                try:
                    sender.sendto(b"1", str(path))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)
                except OSError:
                    continue  # full buffer: that worker is awake already


class Ear:
    """Listens for the bell in one worker process."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / f"worker-{os.getpid()}.sock"
        folder.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(self.path))

    def wait(self, seconds: float) -> bool:
        """Return whether the bell rang within `seconds`."""
        ready, _, _ = select.select([self._socket], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while ready:
                self._socket.recv(16)
        return bool(ready)

    def ring(self) -> None:
        """Wake the one who listens here."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(b"1", str(self.path))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self.path.unlink(missing_ok=True)
