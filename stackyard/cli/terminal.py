# SPDX-License-Identifier: Apache-2.0
"""A command on the platform at this terminal, or in this pipe: its input and output over one WebSocket.

Used by `run` and `exec`. On a terminal every key goes to the command, Ctrl-C too; elsewhere input is sent as it comes,
and Ctrl-C ends this program and with it what was begun for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from typing import Any

import websocket

from stackyard.cli.session import Session, failure, with_query
from stackyard.model import errors

PIECE = 32768
CONNECT_SECONDS = 15.0
BEGIN_SECONDS = 120.0
BROKE_OFF = "the platform broke the connection off"
Words = dict[str, Any]


def interactive() -> bool:
    """Tell whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def talk(session: Session, path: str, first: Words | None = None, *, terminal: bool, **query: Any) -> int:
    """Carry what is typed and written until the command has ended; return its exit code."""
    line = _open(session, with_query(path, query))
    try:
        if first is not None:
            line.send(json.dumps(first))
        _await_ready(line)
        with _raw() if terminal else contextlib.nullcontext():
            return _carry(line, terminal=terminal)
    finally:
        with contextlib.suppress(websocket.WebSocketException, OSError):
            line.close(timeout=0)


def _open(session: Session, path: str) -> websocket.WebSocket:
    """Return the connection; what is refused raises the error that any other request would."""
    token = session.proved_token()
    url = session.endpoint.replace("http", "ws", 1) + path
    try:
        line = websocket.create_connection(
            url, timeout=CONNECT_SECONDS, header=[f"X-Auth-Token: {token}"], sslopt=_tls(session)
        )
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body
        text = body.encode() if isinstance(body, str) else body or b""
        raise failure(error.status_code, text) from None
    except (websocket.WebSocketException, OSError) as error:
        raise errors.Unavailable(f"the platform does not open the connection: {error}") from None
    return line


def _tls(session: Session) -> dict[str, Any]:
    if session.verify is False:
        return {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    return {"ca_certs": session.verify} if isinstance(session.verify, str) else {}


def _await_ready(line: websocket.WebSocket) -> None:
    line.settimeout(BEGIN_SECONDS)
    words = _words(_receive(line)[1])
    line.settimeout(None)
    if not words.get("ready"):
        raise errors.StackyardError(words.get("error") or BROKE_OFF)


def _carry(line: websocket.WebSocket, *, terminal: bool) -> int:
    if terminal:
        _tell_size(line)
        signal.signal(signal.SIGWINCH, lambda *_: _tell_size(line))
    threading.Thread(target=_send_input, args=(line,), name="input", daemon=True).start()
    while True:
        code, said = _receive(line)
        if code == websocket.ABNF.OPCODE_BINARY:
            _write(2 if said[:1] == b"\x02" else 1, said[1:])
            continue
        words = _words(said)
        if "exit" in words:
            return int(words["exit"])
        raise errors.StackyardError(words.get("error") or BROKE_OFF)


def _receive(line: websocket.WebSocket) -> tuple[int, bytes]:
    try:
        code, said = line.recv_data()
    except (websocket.WebSocketException, OSError):
        raise errors.Unavailable(BROKE_OFF) from None
    return (code, said) if code in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) else (code, b"{}")


def _words(said: bytes) -> Words:
    try:
        found = json.loads(said)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _send_input(line: websocket.WebSocket) -> None:
    """Send what comes in until its end; that the connection has gone is told by who reads it."""
    with contextlib.suppress(websocket.WebSocketException, OSError):
        while data := os.read(0, PIECE):
            line.send_binary(data)
        line.send(json.dumps({"eof": True}))


def _tell_size(line: websocket.WebSocket) -> None:
    size = shutil.get_terminal_size()
    with contextlib.suppress(websocket.WebSocketException, OSError):
        line.send(json.dumps({"resize": [size.lines, size.columns]}))


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Give every key to the command, and the terminal back as it was."""
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed meanwhile counts
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
