# SPDX-License-Identifier: Apache-2.0
"""For tests of intents, a desk on a copy of a database that was made once; for the command line, a small platform."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest
from cli_platform import Platform, Run, serve

from stackyard.cli import main, waiting
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


@pytest.fixture(scope="module")
def server() -> Iterator[Platform]:
    with serve() as platform:
        yield platform


@pytest.fixture
def platform(server: Platform, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """The platform, empty, as this shell's own one-machine platform."""
    url = server.url
    server.__init__()  # type: ignore[misc]
    server.url = url
    state = tmp_path / "state"
    state.mkdir()
    (state / "clouds.yaml").write_text(server.clouds())
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("STACKYARD_STATE_DIR", str(state))
    monkeypatch.setenv("HOME", str(tmp_path))
    return server


@pytest.fixture
def run(platform: Platform, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line, which looks more often than usual; returns exit code, stdout, stderr."""
    monkeypatch.setattr(waiting, "SHORTEST", 0.01)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main.main(list(arguments))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call
