# SPDX-License-Identifier: Apache-2.0
"""The command line and the small platform that it talks to, for all its tests."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest
from cli_platform import Platform, Run, serve

from stackyard.cli import main, waiting


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
