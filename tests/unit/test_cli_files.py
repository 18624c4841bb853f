# SPDX-License-Identifier: Apache-2.0
"""`stackyard config file` and `check`: what is sent, what is told, and that `config` is what it was beside them."""

from __future__ import annotations

import json
import pathlib

import pytest
from cli_platform import Platform, Run


@pytest.fixture
def source(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "mine.conf"
    path.write_text("[a]\nb = 1\n")
    return str(path)


def test_a_file_is_set_shown_and_unset(run: Run, platform: Platform, source: str) -> None:
    assert run("config", "file", "unset", "shop", "conf")[0] == 0
    assert "nothing is set for conf" in run("config", "file", "show", "shop", "conf", "--own")[2]
    told = run("config", "file", "set", "shop", "conf", source, "--env", "staging", "--service", "web", "--node", "n1")
    assert told[:2] == (0, "conf is kept for the first release of shop\n")
    assert platform.seen[-1].startswith("PUT /application-deployment/v1/apps/shop/files/conf?")
    assert {"environment=staging", "service=web", "node=n1"} == set(platform.seen[-1].partition("?")[2].split("&"))
    assert run("config", "file", "show", "shop", "conf")[1] == "[a]\nb = 1\n"
    assert run("config", "file", "list", "shop")[1].splitlines()[1].split() == ["conf", "ini", "web", "web"]
    assert json.loads(run("config", "file", "unset", "shop", "conf", "--json")[1])["release"] is None


def test_a_diff_is_shown(run: Run, platform: Platform, source: str) -> None:
    assert run("config", "file", "diff", "shop", "conf", source)[1] == "# web on n1\n+[a]\nb = 1\n\n"
    assert run("config", "file", "diff", "shop", "conf")[1] == "nothing would change\n"
    assert "can't be read" in run("config", "file", "diff", "shop", "conf", "/no/such/file")[2]


def test_text_only(run: Run, platform: Platform, tmp_path: pathlib.Path) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in run("config", "file", "set", "shop", "conf", str(tmp_path / "picture"))[2]


def test_config_of_keys_stays_as_it_was(run: Run, platform: Platform) -> None:
    assert "unset" in run("config", "--help")[1]
    assert "diff" in run("config", "file", "--help")[1]
    for words in (("file",), ("--env", "x", "shop"), ("file", "frobnicate")):
        run("config", *words)
        assert "/files" not in platform.seen[-1]


def test_checks_end_with_1_when_one_fails(run: Run, platform: Platform) -> None:
    code, out, _ = run("check", "shop")
    assert (code, out.splitlines()[1].split()) == (0, ["probe", "done", "1.2"])
    code, out, _ = run("check", "ill")
    assert (code, "exited with code 1" in out) == (1, True)
    assert json.loads(run("check", "ill", "--json")[1])[0]["status"] == "failed"
