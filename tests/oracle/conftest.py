# SPDX-License-Identifier: Apache-2.0
"""Both servers for each story. Collected only where Magnum is installed: `make test-oracle` does that."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator

import pytest

from stackyard.model.offers import Flavor, Image, Offers
from tests.api.world import World
from tests.oracle.servers import PYTHON, Magnum, Ours

collect_ignore_glob = [] if PYTHON.exists() else ["test_*.py"]
COES = frozenset({"kubernetes", "swarm", "swarm-mode", "docker"})
OFFERS = Offers(images=(Image("node"),), flavors=(Flavor("small", 1, 1024), Flavor("medium", 2, 2048)))


@pytest.fixture(scope="session")
def _magnum(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Magnum]:
    server = Magnum(tmp_path_factory.mktemp("magnum"))
    yield server
    server.close()


@pytest.fixture
def magnum(_magnum: Magnum) -> Magnum:
    """Magnum without any row."""
    _magnum.begin()
    return _magnum


@pytest.fixture(scope="session")
def _bare(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("bare")
    World(folder).close()
    return folder


@pytest.fixture
def ours(_bare: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Ours]:
    """Our API without any row, which believes to have a driver for Kubernetes: Magnum knows no other engine."""
    shutil.copytree(_bare, tmp_path, dirs_exist_ok=True)
    world = World(tmp_path, coes=COES, offers=OFFERS)
    yield Ours(world)
    world.close()
