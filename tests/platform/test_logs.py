# SPDX-License-Identifier: Apache-2.0
"""Logs as a user sees them: in order, over scaling and releases, resumed by cursor, and when containers are gone."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.platform.shell import BIN, Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

APP = "talker"
PROGRAM = """
import time
number = 0
while True:
    number += 1
    print("{release}", number, flush=True)
    time.sleep(0.05)
"""
Line = dict[str, Any]


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", "logs", "--nodes", "1")
    yield shell
    shell.run("stackyard", "destroy", APP)
    shell.ok("cluster", "delete", "logs")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("logs") / APP
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "Procfile").write_text("web: python3 -m http.server $PORT\ntalk: python3 talk.py\n")
    return folder


def push(shell: Shell, source: pathlib.Path, release: str) -> None:
    (source / "talk.py").write_text(PROGRAM.format(release=release))
    shell.ok("push", str(source), "--app", APP, "--cluster", "logs", timeout=600)


def lines(shell: Shell, *words: str) -> list[Line]:
    return [json.loads(line) for line in shell.ok("logs", APP, "--json", *words).splitlines()]


def until(look: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def numbers(shown: list[Line], release: str) -> dict[str, list[int]]:
    """Return what each container counted."""
    found: dict[str, list[int]] = {}
    for line in shown:
        if line["text"].startswith(f"{release} "):
            found.setdefault(line["replica"], []).append(int(line["text"].split()[1]))
    return found


def test_lines_of_containers_that_are_gone(shell: Shell, source: pathlib.Path) -> None:
    push(shell, source, "first")
    shell.ok("scale", APP, "talk=2")
    until(lambda: len(numbers(lines(shell, "--process", "talk"), "first")) == 2)
    shell.ok("scale", APP, "talk=1")
    push(shell, source, "second")
    shown = until(lambda: numbers(found := lines(shell), "second") and found)
    assert len(numbers(shown, "first")) == 2, "both containers of the first release are gone, their lines are not"
    for counted in [*numbers(shown, "first").values(), *numbers(shown, "second").values()]:
        assert counted == list(range(1, len(counted) + 1))
    ordered = [line["at"] for line in shown if not line["late"]]
    assert ordered == sorted(ordered)


def test_going_on_behind_a_cursor(shell: Shell) -> None:
    shown = lines(shell, "--process", "talk")
    middle = shown[len(shown) // 2]
    behind = lines(shell, "--process", "talk", "--cursor", middle["cursor"])
    count = len(shown) - len(shown) // 2 - 1
    assert [line["text"] for line in behind[:count]] == [line["text"] for line in shown[-count:]]
    assert "cursor" in shell.refused("logs", APP, "--cursor", "nonsense")


def test_choices(shell: Shell) -> None:
    shown = lines(shell)
    middle = shown[len(shown) // 2]["at"]
    assert {line["at"] >= middle for line in lines(shell, "--since", middle)} == {True}
    before = lines(shell, "--until", middle)
    assert [line["text"] for line in before] == [line["text"] for line in shown if line["at"] < middle]
    assert lines(shell, "--since", "1w", "--until", "3h") == []
    assert {line["service"] for line in lines(shell, "--replica", "talk.1", "--tail", "5")} == {"talk"}
    replica = shown[-1]["replica"]
    assert {line["replica"] for line in lines(shell, "--replica", replica, "--since", "10m")} == {replica}
    assert len(lines(shell, "--tail", "3")) == 3
    assert "10m or 2h" in shell.refused("logs", APP, "--since", "yesterday")


def kill_workers(shell: Shell) -> None:
    head = next(part for part in shell.json("status") if part["part"] == "worker")
    first = psutil.Process(int(head["runs_as"]))
    for process in [first, *first.children(recursive=True)]:
        process.kill()


def test_followed_over_the_end_of_the_workers(shell: Shell) -> None:
    command = [BIN / "stackyard", "logs", APP, "-f", "--tail", "0", "--json", "--process", "talk"]
    process = subprocess.Popen(command, env=shell.full_environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        found = [json.loads(process.stdout.readline()) for _ in range(20)]
        kill_workers(shell)
        found += [json.loads(process.stdout.readline()) for _ in range(120)]
    finally:
        process.terminate()
        process.wait(10)
    for counted in numbers(found, "second").values():
        assert counted == list(range(counted[0], counted[0] + len(counted))), "nothing lost, nothing twice"


def test_destroy_removes_the_lines(shell: Shell, platform: dict[str, str]) -> None:
    kept = pathlib.Path(platform["STACKYARD_STATE_DIR"]) / "lines"
    before = set(kept.iterdir())
    assert before
    shell.ok("destroy", APP)
    until(lambda: len(set(kept.iterdir())) < len(before), 20)
