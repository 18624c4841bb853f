# SPDX-License-Identifier: Apache-2.0
"""A command's output on its way to the client: masked whole, told at once, ended with the client."""

from __future__ import annotations

import json
import queue
import threading

from stackyard.api.application_deployment.duplex import converse

SECRET = "open-sesame"


class Line:
    """A client that hears, and goes when it is told to."""

    def __init__(self) -> None:
        self.heard: queue.Queue[bytes | str] = queue.Queue()
        self.gone = False

    def receive(self, timeout: float) -> bytes | str | None:
        threading.Event().wait(0.01)
        return None

    def send(self, data: bytes | str) -> None:
        self.heard.put(data)

    def close(self) -> None:
        self.gone = True


class Stream:
    """A command that says what the test gives it."""

    def __init__(self) -> None:
        self.said: queue.Queue[tuple[int, bytes] | None] = queue.Queue()
        self.closed = threading.Event()

    def read(self) -> tuple[int, bytes] | None:
        return self.said.get()

    def write(self, data: bytes) -> None: ...

    def end_input(self) -> None: ...

    def resize(self, rows: int, columns: int) -> None: ...

    def result(self) -> tuple[int, str]:
        return 0, ""

    def close(self) -> None:
        self.closed.set()
        self.said.put(None)


def talk() -> tuple[Line, Stream, threading.Thread]:
    line, stream = Line(), Stream()
    thread = threading.Thread(target=converse, args=(line, stream, [SECRET]), daemon=True)
    thread.start()
    return line, stream, thread


def test_a_secret_over_two_messages_is_masked_in_each_stream() -> None:
    line, stream, thread = talk()
    for piece in ((1, b"key open-"), (2, b"err open-"), (1, b"sesame\n"), (2, b"sesame\n"), None):
        stream.said.put(piece)
    thread.join(10)
    told = [line.heard.get_nowait() for _ in range(line.heard.qsize())]
    streams = {
        kind: b"".join(each[1:] for each in told if isinstance(each, bytes) and each[0] == kind) for kind in (1, 2)
    }
    assert streams == {1: b"key ****\n", 2: b"err ****\n"}
    assert json.loads(told[-1]) == {"exit": 0, "reason": ""}


def test_what_only_began_like_one_is_told_though_nothing_follows() -> None:
    line, stream, thread = talk()
    stream.said.put((1, b"$ o"))
    assert line.heard.get(timeout=10) == b"\x01$ "
    assert line.heard.get(timeout=10) == b"\x01o"
    line.gone = True
    thread.join(10)
    assert stream.closed.is_set()
