# SPDX-License-Identifier: Apache-2.0
"""Streams to and from a command on a node: the Engine API's connection upgrade, over the cluster's own TLS.

Used by `jobs.py`. The handshake is made here because clients of HTTP may read beyond its end, and would lose the
command's first words; nothing is read by two threads at once because a TLS connection can't bear it.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping

from stackyard.drivers.engines.connection import PORT, connect
from stackyard.drivers.engines.frames import HEADER, STDERR, STDOUT
from stackyard.drivers.workloads.api import CONNECT_SECONDS, NodeEngine
from stackyard.model import errors

LONGEST_HEAD = 65536
PIECE = 65536


class EngineStream:
    """One upgraded connection. `resized`, `ended` and `abandoned` ask the engine by its other calls.

    `abandoned` is called when the stream is closed before its result was asked for.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        terminal: bool,
        resized: Callable[[int, int], None],
        ended: Callable[[], tuple[int, str]],
        abandoned: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._terminal = terminal
        self._resized = resized
        self._ended = ended
        self._abandoned = abandoned
        self._over = False
        self._left = 0
        self._kind = 1

    def read(self) -> tuple[int, bytes] | None:
        """Return a piece of output with its stream (1 stdout, 2 stderr), None at the end."""
        if self._terminal:
            data = self._connection.read(PIECE)
            return (1, data) if data else None
        while not self._left:
            head = self._connection.exactly(HEADER.size)
            if len(head) < HEADER.size:
                return None
            self._kind, self._left = HEADER.unpack(head)
        data = self._connection.read(min(self._left, PIECE))
        self._left -= len(data)
        return (STDERR if self._kind == STDERR else STDOUT, data) if data else None

    def write(self, data: bytes) -> None:
        """Send input; what ended meanwhile takes none."""
        with contextlib.suppress(OSError):
            self._connection.write(data)

    def end_input(self) -> None:
        """Tell the command that its input has ended."""
        self._connection.end_writing()

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size; one that has ended needs none."""
        with contextlib.suppress(errors.StackyardError):
            self._resized(rows, columns)

    def result(self) -> tuple[int, str]:
        """Return the exit code and how it ended."""
        found = self._ended()
        self._over = True
        return found

    def close(self) -> None:
        """End the reading, from whichever thread, and what would go on without anybody who hears it."""
        self._connection.close()
        if not self._over:
            self._over = True
            with contextlib.suppress(errors.StackyardError):
                self._abandoned()


class Connection:
    """A TLS connection that is read by one thread and written by another."""

    def __init__(self, connection: ssl.SSLSocket, early: bytes) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._early = early
        self._lock = threading.Lock()

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes, none at the end."""
        if self._early:
            data, self._early = self._early[:most], self._early[most:]
            return data
        while True:
            try:
                with self._lock:
                    return self._socket.recv(most)
            except ssl.SSLWantReadError:
                select.select([self._socket], [], [])
            except (OSError, ValueError):
                return b""

    def exactly(self, count: int) -> bytes:
        """Return so many bytes; fewer at the end."""
        data = b""
        while len(data) < count and (piece := self.read(count - len(data))):
            data += piece
        return data

    def write(self, data: bytes) -> None:
        """Send all of it; raises OSError when the other end has gone."""
        rest = memoryview(data)
        while rest:
            try:
                with self._lock:
                    rest = rest[self._socket.send(rest[:PIECE]) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                select.select([], [self._socket], [], 1.0)

    def end_writing(self) -> None:
        """Close our half only: `SSLSocket.shutdown` would forget how to read the other."""
        with contextlib.suppress(OSError), self._lock:
            socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def close(self) -> None:
        """End it; whoever reads finds the end."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def upgrade(engine: NodeEngine, path: str, body: Mapping[str, object] | None = None) -> Connection:
    """Make a POST whose answer is a connection in both directions; raises Unavailable, NotFound, Conflict, GiveUp."""
    try:
        connection = _connected(engine)
        connection.sendall(_request(engine, path, body))
        head, early = _head(connection)
    except OSError as error:
        raise engine.unavailable(error) from error
    status = int(head.split(b" ", 2)[1])
    if status not in (101, 200):
        with contextlib.suppress(OSError):
            early += connection.recv(PIECE)
        connection.close()
        raise _refusal(engine, status, early)
    return Connection(connection, early)


def _connected(engine: NodeEngine) -> ssl.SSLSocket:
    session = connect(engine.node).api
    context = ssl.create_default_context(cafile=str(session.verify))
    context.load_cert_chain(*tuple(session.cert or ()))
    plain = socket.create_connection((engine.node.address, PORT), CONNECT_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return context.wrap_socket(plain, server_hostname=engine.node.address)


def _request(engine: NodeEngine, path: str, body: Mapping[str, object] | None) -> bytes:
    content = json.dumps(body).encode() if body is not None else b""
    lines = [
        f"POST /v{engine.version}{path} HTTP/1.1",
        f"Host: {engine.node.address}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Connection: Upgrade",
        "Upgrade: tcp",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def _head(connection: ssl.SSLSocket) -> tuple[bytes, bytes]:
    """Return the head of the answer, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece or len(data) > LONGEST_HEAD:
            raise ConnectionError("the connection ended before an answer")
        data += piece
    head, _, early = data.partition(b"\r\n\r\n")
    return head, early


def _refusal(engine: NodeEngine, status: int, body: bytes) -> errors.StackyardError:
    _, brace, rest = body.partition(b"{")
    try:
        message = str(json.JSONDecoder().raw_decode((brace + rest).decode())[0]["message"])
    except (ValueError, KeyError):
        message = body.decode(errors="replace").strip() or f"HTTP {status}"
    kinds: dict[int, type[errors.StackyardError]] = {404: errors.NotFound, 409: errors.Conflict}
    kind = errors.Unavailable if status >= 500 else kinds.get(status, errors.GiveUp)
    return kind(f"the engine of {engine.node.name} refuses: {message}")
