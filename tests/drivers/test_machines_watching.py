# SPDX-License-Identifier: Apache-2.0
"""The look-out for nodes against an Engine that ends, falls silent or dies without a word, played by a small server."""

from __future__ import annotations

import http.server
import json
import pathlib
import socketserver
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator

import docker
import pytest

from stackyard.drivers.machines import watching
from stackyard.model import errors


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers /_ping, and /events with one event for each cluster of `tell`, then as `then` says: end or silence."""

    daemon_threads = True
    tell: tuple[str, ...] = ()
    then = "end"
    dead = False
    clock = 1_700_000_000

    def __init__(self, path: pathlib.Path) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.over = threading.Event()
        super().__init__(str(path), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def address_string(self) -> str:
        return ""

    def log_message(self, *_: object) -> None:
        return

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.clock)

    def do_GET(self) -> None:
        if self.server.dead:
            self.server.over.wait(10)
        self.send_response(200)
        if self.path.endswith("_ping"):
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")
            return
        self.server.asked.append(urllib.parse.parse_qs(self.path.partition("?")[2]))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for cluster in self.server.tell:
            self._chunk(json.dumps({"Actor": {"Attributes": {"stackyard.cluster": cluster}}}).encode() + b"\n")
        if self.server.then == "end":
            self._chunk(b"")
        elif self.server.then == "silence":
            self.server.over.wait(10)
        self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(watching, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(watching, "ANSWER_SECONDS", 0.3)
    # Not tmp_path: the name of a Unix socket is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="sytest-b-") as folder, Engine(pathlib.Path(folder) / "s") as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.over.set()
        made.shutdown()


def look_out(engine: Engine) -> Iterator[str]:
    api = docker.APIClient(base_url=f"unix://{engine.server_address!s}", version="1.41")
    return watching.watch(api, "mine")


@pytest.mark.parametrize("then", ["end", "die"])
def test_tells_clusters_until_the_engine_ends(engine: Engine, then: str) -> None:
    engine.tell, engine.then = ("a", "b"), then
    told = look_out(engine)
    assert [next(told), next(told)] == ["a", "b"]
    with pytest.raises(errors.Unavailable, match="watching the nodes"):
        next(told)
    marks = json.loads(engine.asked[0]["filters"][0])
    assert marks["label"] == ["stackyard.instance=mine"]
    assert engine.asked[0]["since"] == [str(engine.clock - watching.OVERLAP_SECONDS)]


def test_silence_is_not_the_end(engine: Engine) -> None:
    engine.then = "silence"
    told: list[str] = []

    def tell() -> None:
        engine.clock += 100
        engine.tell = ("later",)

    threading.Timer(0.4, tell).start()
    told.append(next(look_out(engine)))
    assert told == ["later"]
    # The clock may have been read just before it went on.
    assert engine.asked[-1]["since"] in ([str(engine.clock - past - watching.OVERLAP_SECONDS)] for past in (0, 100))
    assert len(engine.asked) > 1


def test_engine_that_died_without_a_word_is_found_out(engine: Engine) -> None:
    engine.tell, engine.then = ("a",), "silence"
    told = look_out(engine)
    assert next(told) == "a"
    engine.dead = True
    began = time.monotonic()
    with pytest.raises(errors.Unavailable, match="does not answer"):
        next(told)
    assert time.monotonic() - began < 3


def test_no_engine_is_said(tmp_path: pathlib.Path) -> None:
    api = docker.APIClient(base_url=f"unix://{tmp_path}/none", version="1.41")
    with pytest.raises(errors.Unavailable, match="watching the nodes"):
        next(watching.watch(api, "mine"))
