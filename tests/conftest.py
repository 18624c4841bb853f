# SPDX-License-Identifier: Apache-2.0
"""What all tests share: where any of them needs a Docker Engine, one answers before the first begins."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from stackyard.local import engine

ENGINE = "unix:///var/run/docker.sock"


@pytest.fixture(scope="session", autouse=True)
def docker_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Install and start the Engine as `stackyard up` does; stop it again if it was us and nobody else uses it."""
    if not any(item.get_closest_marker("engine") for item in request.session.items):
        yield
        return
    state = pathlib.Path(tempfile.gettempdir()) / "sytest-engine"
    state.mkdir(exist_ok=True)
    engine.ensure_engine(ENGINE, lambda line: print(line, flush=True), state)
    yield
    engine.stop_engine_if_ours(state)
