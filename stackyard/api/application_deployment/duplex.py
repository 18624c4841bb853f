# SPDX-License-Identifier: Apache-2.0
"""A command's input and output over a connection in both directions. Called by the handlers of jobs.

Messages of bytes are input, and from here output behind one byte that tells its stream (1 stdout, 2 stderr); messages
of text are JSON: `{"eof": true}` and `{"resize": [ROWS, COLUMNS]}` from the client, `{"ready": true}` and
`{"exit": CODE, "reason": TEXT}` or `{"error": TEXT}` from here. Knows no web framework and no engine.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from typing import Any

from stackyard.api.call import Duplex
from stackyard.model import errors
from stackyard.model.ports import Stream

HELD = 8
LOOK_SECONDS = 1.0
LARGEST_TERMINAL = 1000


def converse(line: Duplex, stream: Stream) -> bool:
    """Carry all that is said until the command has ended (True) or the client has gone (False)."""
    ended = threading.Event()
    words: queue.Queue[bytes | str] = queue.Queue(HELD)
    teller = threading.Thread(target=_tell, args=(line, stream, ended), name="output", daemon=True)
    writer = threading.Thread(target=_write, args=(stream, words, ended), name="input", daemon=True)
    teller.start()
    writer.start()
    try:
        while not line.gone and not ended.is_set():
            said = line.receive(LOOK_SECONDS)
            if said is not None:
                _hand_over(line, words, said, ended)
    finally:
        over = ended.is_set()
        stream.close()
        ended.set()
        teller.join(LOOK_SECONDS)
    return over


def say(line: Duplex, **words: Any) -> None:
    """Send a message of text; a client that has gone hears nothing."""
    with contextlib.suppress(errors.Unavailable):
        line.send(json.dumps(words))


def heard(said: bytes | str | None) -> dict[str, Any]:
    """Return a message of text as a mapping; an empty one for anything else."""
    try:
        words = json.loads(said) if isinstance(said, str) else {}
    except ValueError:
        return {}
    return words if isinstance(words, dict) else {}


def _hand_over(line: Duplex, words: queue.Queue[bytes | str], said: bytes | str, ended: threading.Event) -> None:
    """Give input to the writer; while the command takes none, no more is read of the client."""
    while not line.gone and not ended.is_set():
        with contextlib.suppress(queue.Full):
            words.put(said, timeout=LOOK_SECONDS)
            return


def _tell(line: Duplex, stream: Stream, ended: threading.Event) -> None:
    try:
        while piece := stream.read():
            line.send(bytes([piece[0]]) + piece[1])
        if not ended.is_set():
            code, reason = stream.result()
            line.send(json.dumps({"exit": code, "reason": reason}))
            ended.set()
    except errors.StackyardError as error:
        say(line, error=str(error))
    finally:
        line.close()


def _write(stream: Stream, words: queue.Queue[bytes | str], ended: threading.Event) -> None:
    while not ended.is_set():
        with contextlib.suppress(queue.Empty):
            said = words.get(timeout=LOOK_SECONDS)
            if isinstance(said, bytes):
                stream.write(said)
            else:
                _obey(stream, heard(said))


def _obey(stream: Stream, words: dict[str, Any]) -> None:
    if words.get("eof"):
        stream.end_input()
    size = words.get("resize")
    if isinstance(size, list) and len(size) == 2 and all(_is_size(each) for each in size):
        stream.resize(*size)


def _is_size(number: object) -> bool:
    return type(number) is int and 0 < number <= LARGEST_TERMINAL
