# SPDX-License-Identifier: Apache-2.0
"""A world for each test."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from tests.api.world import World


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()
