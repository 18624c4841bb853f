# SPDX-License-Identifier: Apache-2.0
"""The access log: one line for each request, from HAProxy's ring to the log of the application that was asked.

Started by each worker process; one of them at a time reads, and another as soon as that ends. HAProxy keeps lines for
a while when nobody reads, and drops them rather than slow a request down. Queries are not logged: they may be secret.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pathlib
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from stackyard.drivers.routers.traffic import WRITE_SECONDS, Counters
from stackyard.model import errors
from stackyard.model.logs import LogLine, stamp

LOG = logging.getLogger(__name__)
SOCKET = "access.sock"
SERVICE, STREAM = "router", "access"
PAUSE_SECONDS = 0.04
"""Lines of so long are handed on together."""
MAX_PATH, MAX_LINE = 300, 65536
WARN_SECONDS = 60.0

Append = Callable[[str, Sequence[LogLine]], None]


class AccessLog:
    """Reads in `folder` (the router's), and hands lines to `append(workload_id, lines)`."""

    def __init__(self, folder: pathlib.Path, append: Append) -> None:
        self._run = folder / "run"
        self._append = append
        self._counters = Counters(self._run)
        self._last: dict[str, str] = {}
        self._warned = 0.0

    def start(self) -> threading.Thread:
        """Begin, in a thread of its own that ends with the process."""
        thread = threading.Thread(target=self.run, name="access-log", daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        """Wait until no other process reads, then read for good."""
        while True:
            try:
                with (self._run / "access.lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    self._serve()
            except OSError as error:  # no platform here yet, or its folder went
                LOG.warning("the access log can't be read: %s", error)
            time.sleep(5)

    def _serve(self) -> None:
        with contextlib.closing(_listen(self._run)) as server, selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ, None)
            while True:
                lines: list[bytes] = []
                for key, _ in selector.select(WRITE_SECONDS if self._counters.dirty else None):
                    if key.data is None:
                        peer, _ = server.accept()
                        selector.register(peer, selectors.EVENT_READ, bytearray())
                    else:
                        lines += _received(selector, key)
                self.take(lines)
                self._counters.write(time.time())
                time.sleep(PAUSE_SECONDS)  # what comes meanwhile is handed on in one piece

    def take(self, lines: Sequence[bytes]) -> None:
        """Hand on what HAProxy wrote; lines without an owner are nobody's."""
        found: dict[str, list[LogLine]] = {}
        for entry in sorted(filter(None, map(_entry, lines)), key=lambda each: int(each["at"])):
            workload = str(entry["owner"]).partition("/")[0]
            self._counters.count(workload, entry)
            # Two processes write for a moment when HAProxy reloads, and times must not go back.
            at = max(stamp(int(entry["at"]) / 1e6), self._last.get(workload, ""))
            self._last[workload] = at
            found.setdefault(workload, []).append(LogLine(at, SERVICE, SERVICE, STREAM, text(entry)))
        for workload, own in found.items():
            try:
                self._append(workload, own)
            except errors.StackyardError as error:
                self._warn(f"{len(own)} lines of {workload} are lost: {error}")

    def _warn(self, words: str) -> None:
        if time.monotonic() - self._warned > WARN_SECONDS:
            self._warned = time.monotonic()
            LOG.warning("access log: %s", words)


def text(entry: dict[str, Any]) -> str:
    """Return a request in one line: method, path, status, size, time, client, protocol, replica."""
    path = str(entry["path"])
    path = "".join(sign if sign.isprintable() else "?" for sign in path[:MAX_PATH]) + "…" * (len(path) > MAX_PATH)
    replica = str(entry["replica"])
    by = "-" if replica.startswith("<") else replica[:12]
    status = "-" if entry["status"] < 0 else entry["status"]
    scheme = "http" if entry["tls"] == "-" else "https"
    words = (entry["method"], path, status, f"{entry['bytes']}B", f"{entry['ms']}ms")
    return " ".join(map(str, [*words, entry["client"], entry["proto"], scheme, by]))


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        return entry if entry["owner"] not in ("", "-") and entry["at"] else None
    except (ValueError, KeyError, TypeError):
        return None  # cut off, or of another version


def _received(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> list[bytes]:
    """Return the whole lines that a peer has sent; forget a peer that has gone."""
    peer, rest = key.fileobj, key.data
    assert isinstance(peer, socket.socket)
    try:
        piece = peer.recv(1 << 18)
    except OSError:
        piece = b""
    if not piece:
        selector.unregister(peer)
        peer.close()
    rest += piece
    *lines, left = bytes(rest).split(b"\n")
    rest[:] = left if len(left) < MAX_LINE else b""
    return lines


def _listen(folder: pathlib.Path) -> socket.socket:
    """Return a socket where HAProxy writes to; what a killed process left there goes first."""
    (folder / SOCKET).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    # Opening the folder first keeps the address short: a Unix socket's path may have 107 bytes only.
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        server.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)
    (folder / SOCKET).chmod(0o600)
    server.listen(16)
    return server
