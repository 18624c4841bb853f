# SPDX-License-Identifier: Apache-2.0
"""Files and stages on the whole platform: an INI config with a secret in it, an operator's overlay, each stage once."""

from __future__ import annotations

import pathlib
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

APP = "files-shop"
PROGRAM = """
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = pathlib.Path("/etc/shop/shop.conf").read_bytes()
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers()
        self.wfile.write(text)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
CONFIG = "# shop\n[shop]\nname = $shop\ntoken = ${TOKEN:-none}\ncolour = red\ncolour = green\n"
COMPOSE = """
x-files: &files [{source: conf, target: /etc/shop/shop.conf}]
services:
  web: {build: ., command: python app.py, ports: ["8000"], configs: *files}
  seed: {build: ., command: "cat /etc/shop/shop.conf", configs: *files, x-stackyard: {stage: init}}
  expand: {build: ., command: "true", x-stackyard: {stage: pre_upgrade}}
  contract: {build: ., command: "true", x-stackyard: {stage: post_upgrade}}
  probe: {build: ., command: "grep -c red /etc/shop/shop.conf", configs: *files, x-stackyard: {stage: check}}
configs:
  conf: {file: shop.conf, x-stackyard: {ini: true}}
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", "files-home", "--nodes", "1")
    yield shell
    shell.run("stackyard", "destroy", APP, "--yes")
    shell.ok("cluster", "delete", "files-home", "--yes")


@pytest.fixture(scope="module")
def app(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("files")
    for name, text in {"app.py": PROGRAM, "requirements.txt": "", "shop.conf": CONFIG, "compose.yaml": COMPOSE}.items():
        (folder / name).write_text(text)
    shell.ok("push", str(folder), "--app", APP, "--cluster", "files-home")
    return APP


def served(shell: Shell) -> str:
    [row] = [each for each in shell.json("apps") if each["name"] == APP]
    url = urllib.parse.urlsplit(row["app_url"])
    asked = urllib.request.Request(f"http://127.0.0.1:{url.port}/", headers={"Host": url.netloc})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(answer.read().decode())


def stages(shell: Shell) -> list[tuple[str, str, int]]:
    found: list[dict[str, Any]] = [job for job in shell.json("jobs", APP) if job["kind"] not in ("run", "check")]
    return [(job["kind"], job["status"], job["release"]) for job in reversed(found)]


def test_a_config_reaches_containers_and_stages(shell: Shell, app: str) -> None:
    assert served(shell) == "[shop]\nname = $shop\ntoken = none\ncolour = red\ncolour = green\n"
    assert stages(shell) == [("init", "done", 1)]
    assert "seed: colour = green" in shell.ok("build", "logs", app, "1")
    shell.ok("check", app)


def test_a_secret_is_put_in_and_told_to_nobody(shell: Shell, app: str) -> None:
    shell.ok("config", app, "set", "--secret", "TOKEN=open-sesame-9")
    assert "token = open-sesame-9" in served(shell)
    shown = shell.ok("config", "file", "show", app, "conf")
    assert "token = ${TOKEN}" in shown
    assert stages(shell)[1] == ("pre_upgrade", "done", 2)


def test_what_an_operator_sets_is_seen_before_and_goes_with_a_rollback(
    shell: Shell, app: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "mine").write_text("[shop]\ncolour = blue\n")
    asked = ("conf", str(tmp_path / "mine"), "--service", "web")
    before = len(shell.json("releases", app))
    said = shell.ok("config", "file", "diff", app, *asked)
    assert "-colour = red" in said
    assert "+colour = blue" in said
    assert "open-sesame" not in said
    assert len(shell.json("releases", app)) == before
    shell.ok("config", "file", "set", app, *asked)
    assert served(shell).endswith("colour = blue\n")
    [listed] = shell.json("config", "file", "list", app)
    assert listed["overlays"] == [{"service": "web", "node": None, "bytes": 21}]
    shell.ok("check", app)  # the overlay is of another service
    shell.ok("rollback", app)
    assert served(shell).endswith("colour = red\ncolour = green\n")
    [listed] = shell.json("config", "file", "list", app)
    assert listed["overlays"] == []


def test_a_check_that_fails_is_told(shell: Shell, app: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "all").write_text("[shop]\ncolour = blue\n")
    shell.ok("config", "file", "set", app, "conf", str(tmp_path / "all"))
    done = shell.run("stackyard", "check", app)
    assert (done.returncode, "exited with code 1" in done.stdout) == (1, True)
    shell.ok("config", "file", "unset", app, "conf")
    shell.ok("check", app)


def test_post_upgrade_comes_in_the_end(shell: Shell, app: str) -> None:
    newest = shell.json("releases", app)[0]["number"]
    deadline = time.monotonic() + 120
    while ("post_upgrade", "done", newest) not in stages(shell):
        assert time.monotonic() < deadline, stages(shell)
        time.sleep(1)
    assert [kind for kind, _, _ in stages(shell)].count("init") == 1
