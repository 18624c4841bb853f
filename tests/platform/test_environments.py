# SPDX-License-Identifier: Apache-2.0
"""Two environments of one application on a cluster: what is promoted is what was tried, and secrets stay inside.

Runs on a one-machine platform of its own (fixture `platform`); the tests follow each other in order.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from demo import get  # noqa: E402

from tests.platform.shell import BIN, Shell  # noqa: E402

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

SECRET = "sesame-of-the-tests-41"
PROGRAM = """
import http.server, json, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"where": os.environ.get("WHERE"), "length": len(os.environ.get("KEY", ""))}).encode()
        print("the key is", os.environ.get("KEY"), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

if os.environ.get("BREAK"):
    sys.exit("can't go on with " + os.environ["KEY"])
http.server.HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer).serve_forever()
"""
RECIPE = """FROM stackyard/python:3.11
RUN echo 'the word is {word}'
COPY tell.py /
ENV PORT=8000
EXPOSE 8000
CMD ["python3", "/tell.py"]
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    """A shell on the platform (`platform` gives its environment variables)."""
    return Shell(platform)


@pytest.fixture(scope="module", autouse=True)
def cluster(shell: Shell) -> Iterator[None]:
    shell.ok("cluster", "create", "environments", "--nodes", "1")
    yield
    shell.ok("cluster", "delete", "environments")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A program that tells what it got."""
    folder = tmp_path_factory.mktemp("environments") / "teller"
    folder.mkdir()
    (folder / "tell.py").write_text(PROGRAM)
    (folder / "Dockerfile").write_text(RECIPE.format(word="nothing"))
    return folder


def environments(shell: Shell) -> dict[str, Any]:
    return {each["name"]: each for each in shell.json("environments", "teller")}


def images(shell: Shell) -> dict[str, Any]:
    """Return the images of the releases that serve, by environment."""
    return {each["environment"]: each["images"] for each in shell.json("releases", "teller") if each["current"]}


def test_a_push_goes_to_the_environment_that_it_names(shell: Shell, source: pathlib.Path) -> None:
    shell.ok("push", str(source), "--app", "teller", "--cluster", "environments")
    shell.ok("environments", "teller", "add", "staging")
    shell.ok("config", "teller", "set", "WHERE=staging", "--env", "staging")
    (source / "tell.py").write_text(PROGRAM + "\n# changed\n")
    pushed = shell.json("push", str(source), "--app", "teller", "--env", "staging")
    assert (pushed["environment"], pushed["release"]) == ("staging", 2)
    assert pushed["url"].startswith("http://staging--teller.")
    assert get(pushed["url"], "/")["where"] == "staging"
    found = environments(shell)
    assert {name: each["release"] for name, each in found.items()} == {"staging": 2, "production": 1}
    assert get(found["production"]["app_url"], "/")["where"] is None
    assert images(shell)["staging"] != images(shell)["production"]
    assert "staging, production" in shell.refused("push", str(source), "--app", "teller", "--env", "qa")


def test_a_promotion_serves_the_very_same_images(shell: Shell) -> None:
    shell.ok("config", "teller", "set", "WHERE=production")
    promoted = shell.json("promote", "teller", "--to", "production")
    assert (promoted["release"], promoted["serving"], promoted["environment"]) == (4, 4, "production")
    assert promoted["images"] == images(shell)["staging"] == images(shell)["production"]
    assert get(promoted["url"], "/")["where"] == "production"
    assert get(environments(shell)["staging"]["app_url"], "/")["where"] == "staging"


def test_a_secret_is_shown_nowhere(shell: Shell, source: pathlib.Path, platform: dict[str, str]) -> None:
    done = subprocess.run(
        [BIN / "stackyard", "config", "teller", "set", "--secret", "KEY=-", "--env", "staging"],
        env=shell.full_environment(),
        input=f"{SECRET}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    told = [done.stdout, done.stderr]
    assert get(environments(shell)["staging"]["app_url"], "/")["length"] == len(SECRET)
    shown = shell.ok("config", "teller", "--env", "staging")
    assert "(secret)" in shown
    assert shell.json("config", "teller", "--env", "staging") == {"KEY": None, "WHERE": "staging", "secrets": ["KEY"]}
    (source / "Dockerfile").write_text(RECIPE.format(word=SECRET))
    pushed = shell.run("stackyard", "push", str(source), "--app", "teller", "--env", "staging")
    assert pushed.returncode == 0, pushed.stderr
    broken = shell.refused("config", "teller", "set", "BREAK=1", "--env", "staging")
    assert "can't go on with ****" in broken
    logs = _logs(shell)
    output = shell.ok("build", "logs", "teller")
    assert "the word is ****" in output
    lists = [shell.ok(*words, "--json") for words in (("releases", "teller"), ("events", "teller"), ("apps",))]
    text = "\n".join([*told, shown, pushed.stdout, pushed.stderr, broken, logs, output, *lists])
    assert SECRET not in text
    _not_in_the_database(pathlib.Path(platform["STACKYARD_STATE_DIR"]))


def _logs(shell: Shell) -> str:
    """Return the log of staging once the line with the secret is in it."""
    get(environments(shell)["staging"]["app_url"], "/")
    deadline = time.monotonic() + 10
    while "the key is ****" not in (text := shell.ok("logs", "teller", "--env", "staging")):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
    return text


def _not_in_the_database(state: pathlib.Path) -> None:
    files = list(state.glob("stackyard.db*"))
    assert files
    for file in files:
        assert SECRET.encode() not in file.read_bytes(), file.name


def test_an_environment_goes_alone_and_the_rest_with_the_application(shell: Shell) -> None:
    url = environments(shell)["production"]["app_url"]
    shell.ok("environments", "teller", "remove", "staging")
    assert list(environments(shell)) == ["production"]
    assert get(url, "/")["where"] == "production"
    shell.ok("environments", "teller", "add", "staging")
    shell.ok("promote", "teller", "--to", "staging", "--from", "production")
    assert get(environments(shell)["staging"]["app_url"], "/")["where"] is None
    shell.ok("destroy", "teller", "--yes")
    assert "could not be found" in shell.refused("environments", "teller")
