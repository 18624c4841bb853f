# SPDX-License-Identifier: Apache-2.0
"""A user's whole way, by the commands that a user types: cluster, push, look, change, fail, go back, leave.

Runs on a one-machine platform of its own (fixture `platform`); the tests follow each other in order.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from demo import Failed, exchange, get  # noqa: E402
from load import Load  # noqa: E402

from tests.platform.shell import BIN, Shell  # noqa: E402

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    """A shell on the platform (`platform` gives its environment variables)."""
    return Shell(platform)


@pytest.fixture(scope="module")
def cluster(shell: Shell) -> Iterator[str]:
    shell.ok("cluster", "create", "journey", "--nodes", "1")
    yield "journey"
    shell.ok("cluster", "delete", "journey")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The guest book in a git repository."""
    folder = tmp_path_factory.mktemp("journey") / "guestbook"
    shutil.copytree(ROOT / "examples" / "guestbook", folder, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "The guest book")
    return folder


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: pathlib.Path, message: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def set_version(folder: pathlib.Path, version: str) -> None:
    file = folder / "guestbook.py"
    file.write_text(re.sub(r'^VERSION = ".*"$', f'VERSION = "{version}"', file.read_text(), flags=re.MULTILINE))


@pytest.fixture(scope="module")
def url(shell: Shell, cluster: str, source: pathlib.Path) -> Iterator[str]:
    """The address of the guest book after its first push."""
    out = shell.ok("push", str(source), "--app", "guestbook", timeout=600)
    assert re.search(r"^Release: 1$", out, re.MULTILINE)
    last = out.splitlines()[-1]
    assert re.fullmatch(r"URL: http://guestbook\.demo\.localhost:\d+", last)
    yield last.removeprefix("URL: ")
    shell.run("stackyard", "destroy", "guestbook")


def replicas(shell: Shell, service: str) -> list[dict[str, Any]]:
    found = shell.json("ps", "guestbook")
    return [each for each in found if each["service"] == service and each["state"] == "running"]


def test_the_openstack_client_sees_the_cluster(shell: Shell, cluster: str) -> None:
    done = shell.run("openstack", "coe", "cluster", "list", "-f", "json", cloud="stackyard")
    assert done.returncode == 0, done.stderr
    assert [(each["name"], each["status"]) for each in json.loads(done.stdout)] == [(cluster, "CREATE_COMPLETE")]


def test_first_push_serves_two_replicas(shell: Shell, url: str, source: pathlib.Path) -> None:
    assert get(url, "/entries")["version"] == "1"
    assert len(replicas(shell, "web")) == 2
    assert len({get(url, "/entries")["replica"] for _ in range(20)}) == 2, "both replicas answer"
    assert shell.json("releases", "guestbook")[0]["revision"] == git(source, "rev-parse", "HEAD")


def test_second_push_under_load_loses_nothing(shell: Shell, url: str, source: pathlib.Path) -> None:
    exchange(url, "POST", "/entries", {"name": "Test", "message": "written before the push"})
    set_version(source, "2")
    revision = commit(source, "Version 2")
    with Load(url, "/entries", 100) as load:
        result = shell.json("push", str(source), "--app", "guestbook")
        assert load.until(lambda sample: sample.version == "2", 20)
    assert (result["release"], result["revision"], result["url"]) == (2, revision, url)
    assert load.total > 50
    assert load.problems == []
    seen = get(url, "/entries")
    assert seen["version"] == "2"
    assert "written before the push" in [entry["message"] for entry in seen["entries"]]


def test_rollback_under_load_loses_nothing(shell: Shell, url: str) -> None:
    with Load(url, "/entries", 50) as load:
        answer = shell.json("rollback", "guestbook")
        assert load.until(lambda sample: sample.version == "1", 20)
    assert load.problems == []
    assert answer["serving"] == answer["release"] == 3
    assert "written before the push" in [entry["message"] for entry in get(url, "/entries")["entries"]]


def test_logs_of_all_replicas_in_order(shell: Shell, url: str) -> None:
    lines = [json.loads(line) for line in shell.ok("logs", "--json", "guestbook").splitlines()]
    assert {line["service"] for line in lines} == {"web", "redis", "router"}
    ordered = [line["at"] for line in lines if not line["late"]]  # a busy machine may hand in a line too late
    assert ordered == sorted(ordered)
    plain = shell.ok("logs", "--tail", "5", "--service", "web", "guestbook").splitlines()
    assert plain
    assert all(re.match(r"web\.\S+ +\| ", line) for line in plain)


def test_follow_shows_what_is_written_now(shell: Shell, url: str) -> None:
    command = [BIN / "stackyard", "logs", "-f", "--tail", "0", "guestbook"]
    process = subprocess.Popen(command, env=shell.full_environment(), stdout=subprocess.PIPE, text=True)
    found = threading.Event()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            if "GET /entries?marker=now" in line:
                found.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        for _ in range(40):
            get(url, "/entries?marker=now")
            if found.wait(0.5):
                break
        assert found.is_set()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_scale(shell: Shell, url: str) -> None:
    shell.ok("scale", "guestbook", "web=3")
    assert len(replicas(shell, "web")) == 3
    assert "no service 'nothing'" in shell.refused("scale", "guestbook", "nothing=2")


def test_config_becomes_a_release(shell: Shell, url: str) -> None:
    before = shell.json("releases", "guestbook")[0]["number"]
    assert shell.json("config", "guestbook", "set", "GREETING=Good day", "TOKEN=abc")["release"] == before + 1
    assert shell.json("config", "guestbook") == {"GREETING": "Good day", "TOKEN": "abc"}
    assert "Good day" not in json.dumps(shell.json("releases", "guestbook")), "values are shown by `config` only"
    shell.ok("config", "guestbook", "unset", "TOKEN")
    assert shell.json("config", "guestbook") == {"GREETING": "Good day"}
    assert len(replicas(shell, "web")) == 3, "the scale asked for outlives releases"


def test_a_build_that_fails_leaves_the_old_release(shell: Shell, url: str, source: pathlib.Path) -> None:
    serving = shell.json("apps")[0]["release"]
    file = source / "requirements.txt"
    kept = file.read_text()
    file.write_text(kept + "no-such-distribution-of-ours==0.0.1\n")
    try:
        said = shell.refused("push", str(source), "--app", "guestbook")
    finally:
        file.write_text(kept)
    assert "no-such-distribution-of-ours" in said
    assert said.rstrip().endswith(f"release {serving} goes on serving")
    assert get(url, "/entries")["version"] == "1"


def test_a_release_that_is_never_ready_leaves_the_old_one(shell: Shell, url: str, source: pathlib.Path) -> None:
    serving = shell.json("apps")[0]["release"]
    file = source / "guestbook.py"
    kept = file.read_text()
    file.write_text(kept + '\nraise SystemExit("broken on purpose")\n')
    try:
        with Load(url, "/entries", 50) as load:
            said = shell.refused("push", str(source), "--app", "guestbook")
    finally:
        file.write_text(kept)
    assert f"release {serving} goes on serving" in said
    assert "broken on purpose" in said, "the end of the container's own words is the reason"
    assert load.problems == []


def test_another_project_sees_nothing(shell: Shell, url: str) -> None:
    assert shell.json("apps", cloud="stackyard-other") == []
    for command in (["ps"], ["logs"], ["releases"], ["config"], ["events"], ["builds"], ["destroy"]):
        said = shell.refused(*command, "guestbook", cloud="stackyard-other")
        assert "guestbook" in said
    assert "journey" in shell.refused("cluster", "show", "journey", cloud="stackyard-other")


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"notes.txt": "nothing to run"}, "compose.yaml"),
        ({"compose.yaml": "services: {web: {image: x, unknown_key: 1}}"}, "unknown_key"),
        (
            {"compose.yaml": "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}"},
            "depends_on",
        ),
    ],
)
def test_what_is_no_application_is_refused(
    shell: Shell, cluster: str, tmp_path: pathlib.Path, files: dict[str, str], word: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    said = shell.refused("push", str(tmp_path), "--app", "bad")
    assert word in said
    assert "nothing is served yet" in said
    shell.ok("destroy", "bad")


def test_names_that_are_none(shell: Shell, cluster: str, source: pathlib.Path) -> None:
    for name in ("Not_A_Label", "a" * 300, "-x"):
        assert "DNS label" in shell.refused("push", str(source), f"--app={name}")


def test_git_sources_that_are_refused(shell: Shell, cluster: str) -> None:
    for source in ("ext::sh -c id", "file:///etc"):
        assert "error:" in shell.refused("push", source, "--app", "bad")
        deadline = time.monotonic() + 30
        while "bad" in [app["name"] for app in shell.json("apps")]:
            assert time.monotonic() < deadline, "what a refused push made does not go"
    said = shell.refused("push", "http://127.0.0.1:9/none.git", "--app", "bad")
    assert "127.0.0.1" in said
    shell.ok("destroy", "bad")


def test_a_link_out_of_the_folder(shell: Shell, cluster: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "app.py").symlink_to("/etc/passwd")
    assert "app.py" in shell.refused("push", str(tmp_path), "--app", "bad-link")
    assert "bad-link" not in [app["name"] for app in shell.json("apps")]


def test_destroy_leaves_nothing(shell: Shell, url: str) -> None:
    shell.ok("destroy", "guestbook")
    assert shell.json("apps") == []
    with pytest.raises(Failed, match=r"answered (404|503)"):
        get(url, "/entries")
