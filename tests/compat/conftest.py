# SPDX-License-Identifier: Apache-2.0
"""The API on a loopback port, for clients that want a socket. The whole platform is tested in `tests/platform`."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Iterator

import pytest
from werkzeug.serving import make_server

from tests.api.world import World


@dataclasses.dataclass(frozen=True)
class Served:
    """A world and the address that its API is served on."""

    world: World
    url: str


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[Served]:
    world = World(tmp_path)
    server = make_server("127.0.0.1", 0, world.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Served(world, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    world.close()
