# SPDX-License-Identifier: Apache-2.0
"""The APIs' contracts as ordered YAML (gabbi): each file is a story against the real application.

Gabbi's own pytest plugin is not used: it claims every test of the run that has a colon in its name.
"""

from __future__ import annotations

import pathlib
import tempfile
import unittest
from typing import Any

import pytest
from gabbi import driver
from gabbi.fixture import GabbiFixture
from gabbi.suite import GabbiSuite

from tests.api.world import World

FOLDER = pathlib.Path(__file__).parent / "gabbits"


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


def story(name: str) -> GabbiSuite:
    """Return the requests of one file, in order, with its world."""
    module = __import__(__name__, fromlist=["Stage"])
    suites = driver.build_tests(
        str(FOLDER), unittest.TestLoader(), intercept=application, fixture_module=module, test_loader_name="story"
    )
    return next(suite for suite in suites if type(next(iter(suite))).__name__.startswith(f"{name}_"))


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_story(name: str) -> None:
    result = unittest.TestResult()
    story(name).run(result)
    wrong = [f"{test.id()}\n{text}" for test, text in (*result.failures, *result.errors)]
    assert not wrong, "\n".join(wrong)
    assert result.testsRun > 5
    assert not result.skipped
