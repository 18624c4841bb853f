# SPDX-License-Identifier: Apache-2.0
"""The demo's git repository after whatever happened to the last run, and the load that counts failures."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import flask
import pytest
from werkzeug.serving import make_server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import demo
from load import Load


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> demo.Repository:
    made = demo.Repository(tmp_path / "demo" / "guestbook")
    made.prepare()
    return made


def history(repository: demo.Repository) -> list[str]:
    command = ["git", "-C", repository.path, "log", "--format=%s"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def is_clean(repository: demo.Repository) -> bool:
    command = ["git", "-C", repository.path, "status", "--porcelain"]
    return not subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_holds_the_example(repository: demo.Repository) -> None:
    assert repository.version() == "1"
    assert (repository.path / "compose.yaml").read_text() == (demo.EXAMPLE / "compose.yaml").read_text()
    assert history(repository) == ["The guest book"]


def test_a_changed_line_is_a_commit(repository: demo.Repository) -> None:
    assert repository.change_a_line() == "2"
    assert (repository.version(), history(repository)[0], is_clean(repository)) == ("2", "Version 2", True)


def _killed_before_commit(repository: demo.Repository) -> None:
    repository._write("2")


def _killed_git(repository: demo.Repository) -> None:
    repository.change_a_line()
    (repository.path / ".git" / "index.lock").touch()
    (repository.path / ".git" / "refs" / "heads" / "main.lock").touch()


def _broken_git(repository: demo.Repository) -> None:
    repository.change_a_line()
    (repository.path / ".git" / "HEAD").write_text("")


def _half_made(repository: demo.Repository) -> None:
    repository.change_a_line()
    for path in (repository.path / ".git").iterdir():
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("accident", [_killed_before_commit, _killed_git, _broken_git, _half_made])
def test_goes_on_after_an_accident(repository: demo.Repository, accident: Callable[[demo.Repository], None]) -> None:
    accident(repository)
    again = demo.Repository(repository.path)
    again.prepare()
    assert (again.version(), is_clean(again)) == ("2", True), "the version is kept, so that the next one is new"
    assert again.change_a_line() == "3"


def test_an_unchanged_example_makes_no_commit(repository: demo.Repository) -> None:
    repository.prepare()
    assert history(repository) == ["The guest book"]


@pytest.fixture
def address() -> Iterator[str]:
    """A server that answers every fifth request with 503."""
    app, count = flask.Flask("one-in-five"), iter(range(1, 10_000))

    @app.get("/entries")
    def entries() -> tuple[dict[str, str], int]:
        return {"version": "7"}, 503 if next(count) % 5 == 0 else 200

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://app.demo.localhost:{server.server_port}"
    server.shutdown()
    thread.join(timeout=5)


def test_load_counts_every_failure(address: str) -> None:
    with Load(address, "/entries", 100) as load:
        time.sleep(1)
    assert 60 <= load.total <= 120
    assert load.failed == load.total // 5
    assert load.problems[0].startswith("503")
    assert load.first("7") is not None
    assert load.first("8") is None


def test_load_on_nothing_fails() -> None:
    with Load("http://127.0.0.1:9", "/", 100) as load:
        assert not load.until(lambda sample: sample.version == "1", 0.3)
    assert load.failed == load.total > 0
