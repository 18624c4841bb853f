# SPDX-License-Identifier: Apache-2.0
"""The APIs' contracts as ordered YAML (gabbi): each file is a story against the real application."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Any

from gabbi import driver
from gabbi.driver import test_pytest  # noqa: F401 -- the function that pytest collects
from gabbi.fixture import GabbiFixture

from tests.api.world import World

FOLDER = str(pathlib.Path(__file__).parent / "gabbits")


class Stage(GabbiFixture):  # type: ignore[misc]
    """A world for each file, in which one cluster named `one` is ready (project demo)."""

    world: World | None = None

    def start_fixture(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        Stage.world = World(pathlib.Path(self.folder.name))
        Stage.world.cluster()

    def stop_fixture(self) -> None:
        assert Stage.world
        Stage.world.close()
        Stage.world = None
        self.folder.cleanup()


def application() -> Any:
    """Return the application of the file that is being run."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        assert Stage.world
        return Stage.world.app(environ, start_response)

    return call


def pytest_generate_tests(metafunc: Any) -> None:
    driver.py_test_generator(
        FOLDER,
        intercept=application,
        fixture_module=__import__(__name__, fromlist=["Stage"]),
        test_loader_name=__name__,
        metafunc=metafunc,
    )
