# SPDX-License-Identifier: Apache-2.0
"""A world for each test, copied from one that was made once."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator

import pytest

from tests.api.world import World


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a world without anything in it."""
    folder = tmp_path_factory.mktemp("bare")
    World(folder).close()
    return folder


@pytest.fixture(scope="session")
def furnished(bare: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a world with one of everything, all of project demo."""
    folder = tmp_path_factory.mktemp("furnished")
    world = _copied(bare, folder)
    world.cluster()
    world.release(world.application())
    world.close()
    return folder


@pytest.fixture
def world(bare: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[World]:
    """A world without anything in it."""
    world = _copied(bare, tmp_path)
    yield world
    world.close()


@pytest.fixture
def full(furnished: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[World]:
    """A world with a cluster `one` (of template `t-one`) and an application `shop` whose release 1 serves."""
    world = _copied(furnished, tmp_path)
    yield world
    world.close()


@pytest.fixture(scope="session")
def shared(furnished: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Such a world for all tests together that are refused whatever they ask, and so change nothing."""
    world = _copied(furnished, tmp_path_factory.mktemp("shared"))
    yield world
    world.close()


def _copied(folder: pathlib.Path, to: pathlib.Path) -> World:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return World(to)
