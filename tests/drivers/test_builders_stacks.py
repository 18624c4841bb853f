# SPDX-License-Identifier: Apache-2.0
"""The command that makes a missing language stack: its output reaches the log, its failure the person."""

import concurrent.futures
import pathlib
import shutil
import sys
import uuid

import docker
import pytest

from stackyard.drivers.builders import StackCommand
from stackyard.local import images, stacks
from stackyard.model import errors


def command(script: str) -> StackCommand:
    return StackCommand((sys.executable, "-c", script))


def test_its_output_reaches_the_log() -> None:
    log: list[str] = []
    command("import sys; print('made', sys.argv[1])")("nodejs", log.append)
    assert "image nodejs is being made" in log[0]
    assert log[1:] == ["made nodejs\n"]


def test_its_failure_says_why_and_what_helps() -> None:
    with pytest.raises(errors.GiveUp, match=r"(?s)'stackyard images build go'.*no mirror answers"):
        command("raise SystemExit('no mirror answers')")("go", lambda _: None)


def test_every_stack_has_a_recipe() -> None:
    assert set(stacks.NAMES) <= set(images.recipes())


def test_an_unknown_stack_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert stacks.main(["registry"]) == 1
    assert "there is no image 'registry' for applications; there are: python," in capsys.readouterr().err


@pytest.mark.engine
def test_two_that_make_the_same_stack_make_it_once(tmp_path: pathlib.Path) -> None:
    engine = docker.from_env()
    shutil.copytree(images.FOLDER / "base", tmp_path / "base")
    (tmp_path / "sytest-once").mkdir()
    dockerfile = f"FROM stackyard/base\nRUN echo {uuid.uuid4().hex} && sleep 2\n"
    (tmp_path / "sytest-once" / "Dockerfile").write_text(dockerfile)
    said: list[str] = []

    def make() -> dict[str, str]:
        return images.build(engine, ["sytest-once"], lambda _, line: said.append(line), tmp_path)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(make) for _ in range(2))
    try:
        assert first.result() == second.result()
        assert said.count("building") == 1, said
        assert "made by another process" in said
    finally:
        engine.images.remove(first.result()["sytest-once"], force=True)
        engine.images.remove("stackyard/sytest-once:latest", force=True)
