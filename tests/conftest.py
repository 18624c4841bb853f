# SPDX-License-Identifier: Apache-2.0
"""What all tests share: a Docker Engine that answers before the first that needs one, and their order.

`make test` runs two tests at a time, most of which wait for containers. Tests that share things made for them stay
together: those of the one-machine platform, which take longest and begin first, and otherwise those of one file.
"""

from __future__ import annotations

import pathlib
import signal
import tempfile
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from stackyard.local import engine

ENGINE = "unix:///var/run/docker.sock"
PLATFORM = "tests/platform/"
STATE = pathlib.Path(tempfile.gettempdir()) / "sytest-engine"


def pytest_configure() -> None:
    """Let tests interrupt what they start: who runs in the background of a shell hands on that SIGINT is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: item.get_closest_marker("platform") is None)


class Together(LoadScopeScheduling):
    """Gives what is shared to one process: the tests of the platform, and otherwise those of a file.

    (pytest-xdist's own groups by marks have no effect with pytest 9.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return "platform" if file.startswith(PLATFORM) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Tell pytest-xdist how to distribute tests."""
    return Together(config, log)


@pytest.fixture(scope="session", autouse=True)
def docker_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Install and start the Engine as `stackyard up` does; stop it again if it was us and nobody else uses it."""
    if not any(item.get_closest_marker("engine") for item in request.session.items):
        yield
        return
    STATE.mkdir(exist_ok=True)
    engine.ensure_engine(ENGINE, lambda line: print(line, flush=True), STATE)
    yield
    if not hasattr(request.config, "workerinput"):
        engine.stop_engine_if_ours(STATE)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the Engine once the last of several processes is done."""
    if session.config.pluginmanager.hasplugin("dsession") and not hasattr(session.config, "workerinput"):
        engine.stop_engine_if_ours(STATE)
