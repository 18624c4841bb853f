# SPDX-License-Identifier: Apache-2.0
"""A desk for each test of intents, on a copy of a database that was made once."""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator

import pytest

from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.intents import Intents, Rules
from stackyard.store import Store
from tests.unit.desk import OFFERS, Desk


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("store")
    ensure_key(folder / "key")
    store = Store(f"sqlite:///{folder}/db")
    store.migrate()
    store.engine.dispose()
    return folder


@pytest.fixture
def desk(empty_store: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Desk]:
    shutil.copytree(empty_store, tmp_path, dirs_exist_ok=True)
    store = Store(f"sqlite:///{tmp_path}/db")
    rules = Rules(max_clusters=3, max_applications=3, offers=OFFERS)
    yield Desk(store, Intents.of(store, FernetSecrets(tmp_path / "key"), rules))
    store.engine.dispose()
