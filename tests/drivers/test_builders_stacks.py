# SPDX-License-Identifier: Apache-2.0
"""The command that makes a missing language stack: its output reaches the log, its failure the person."""

import sys

import pytest

from stackyard.drivers.builders import StackCommand
from stackyard.local import images, stacks
from stackyard.model import errors


def command(script: str) -> StackCommand:
    return StackCommand((sys.executable, "-c", script))


def test_its_output_reaches_the_log() -> None:
    log: list[str] = []
    command("import sys; print('made', sys.argv[1])")("nodejs", log.append)
    assert "language stack nodejs is being made" in log[0]
    assert log[1:] == ["made nodejs\n"]


def test_its_failure_says_why_and_what_helps() -> None:
    with pytest.raises(errors.GiveUp, match=r"(?s)'stackyard images build go'.*no mirror answers"):
        command("raise SystemExit('no mirror answers')")("go", lambda _: None)


def test_every_stack_has_a_recipe() -> None:
    assert set(stacks.NAMES) <= set(images.recipes())


def test_an_unknown_stack_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert stacks.main(["haproxy"]) == 1
    assert "there is no language stack 'haproxy'; there are: python," in capsys.readouterr().err
