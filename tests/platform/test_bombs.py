# SPDX-License-Identifier: Apache-2.0
"""Builds that take all they can get, on the node where another application serves: that one loses no request."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.platform.shell import Shell
from tools.bench.limits import BOMBS, refusal, write
from tools.load import Load

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

CLUSTER = "bombs"
RATE = 50
PROGRAM = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'{"version": "1"}'
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", CLUSTER, "--nodes", "1")
    yield shell
    for app in ("bomb", "bystander"):
        shell.run("stackyard", "destroy", app)
    shell.ok("cluster", "delete", CLUSTER, "--yes")


@pytest.fixture(scope="module")
def bystander(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an application on the only node of the cluster."""
    folder = tmp_path_factory.mktemp("bystander")
    (folder / "app.py").write_text(PROGRAM)
    return str(shell.json("push", str(folder), "--app", "bystander", "--cluster", CLUSTER)["url"])


@pytest.mark.parametrize("name", BOMBS)
def test_a_build_that_takes_all_is_ended_and_nobody_else_notices(
    shell: Shell, bystander: str, tmp_path: pathlib.Path, name: str
) -> None:
    with Load(bystander, "/", RATE) as load:
        words = refusal(write(tmp_path / "bomb", BOMBS[name][0]), shell.full_environment(), CLUSTER)
    assert BOMBS[name][1] in words
    assert load.total > 0
    assert load.problems == []
    print(f"\n{name}: p99 {1000 * load.percentile(0.99):.1f} ms of {load.total} requests")
