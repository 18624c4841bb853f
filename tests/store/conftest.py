# SPDX-License-Identifier: Apache-2.0
"""A store on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stackyard.store import Store
from tests.worker.databases import SERVERS, reachable


@pytest.fixture(scope="package", params=sorted(SERVERS))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An empty store with the newest schema; tests use projects and hosts of their own."""
    with SERVERS[request.param](reachable(tmp_path_factory.mktemp(request.param))) as url:
        store = Store(url)
        store.migrate()
        yield store
        store.engine.dispose()
