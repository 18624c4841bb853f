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
from collections.abc import Sequence
from typing import Any

from stackyard.api.call import Duplex
from stackyard.model import errors
from stackyard.model.masking import StreamMask
from stackyard.model.ports import Stream

HELD = 8
LOOK_SECONDS = 1.0
HOLD_SECONDS = 0.2
LARGEST_TERMINAL = 1000


def converse(line: Duplex, stream: Stream, hidden: Sequence[str] = ()) -> bool:
    """Carry all that is said until the command has ended (True) or the client has gone (False).

    In what the command says, `hidden` values are masked.
    """
    ended = threading.Event()
    words: queue.Queue[bytes | str] = queue.Queue(HELD)
    output = _Output(line, hidden)
    teller = threading.Thread(target=_tell, args=(output, stream, ended), name="output", daemon=True)
    writer = threading.Thread(target=_write, args=(stream, words, ended), name="input", daemon=True)
    teller.start()
    writer.start()
    try:
        while not line.gone and not ended.is_set():
            heard = line.receive(LOOK_SECONDS)
            if heard is not None:
                _hand_over(line, words, heard, ended)
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


class _Output:
    """What the command says, masked, on its way to the client.

    What may be the beginning of a secret is held back for a moment, in which the rest of it comes.
    """

    def __init__(self, line: Duplex, hidden: Sequence[str]) -> None:
        self.line = line
        self._masks = {kind: StreamMask(hidden) for kind in (1, 2)}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def tell(self, kind: int, data: bytes) -> None:
        """Send what a stream says; raises Unavailable when the client has gone."""
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._send(kind, self._masks[kind].feed(data))
            if any(mask.holds for mask in self._masks.values()):
                self._timer = threading.Timer(HOLD_SECONDS, self._late)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Send what is held; raises Unavailable when the client has gone."""
        with self._lock:
            for kind, mask in self._masks.items():
                self._send(kind, mask.flush())

    def _late(self) -> None:
        with contextlib.suppress(errors.Unavailable):
            self.flush()

    def _send(self, kind: int, data: bytes) -> None:
        if data:
            self.line.send(bytes([kind]) + data)


def _tell(output: _Output, stream: Stream, ended: threading.Event) -> None:
    line = output.line
    try:
        while piece := stream.read():
            output.tell(*piece)
        output.flush()
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
