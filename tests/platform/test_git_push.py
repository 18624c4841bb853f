# SPDX-License-Identifier: Apache-2.0
"""`git push` with git's own client to a whole platform: set up, deploy, fail, other branches, who may, URL pushes."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from demo import get  # noqa: E402

from tests.platform.shell import BIN, Shell  # noqa: E402

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(600)]

SERVER = """import http.server, os
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"version": "VERSION"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Hello).serve_forever()
"""


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def tree(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A git repository with a remote `stackyard`, on a cluster of one node."""
    shell.ok("cluster", "create", "gitpush", "--nodes", "1")
    folder = tmp_path_factory.mktemp("git") / "hello"
    folder.mkdir()
    git(shell, folder, "init", "-q", "-b", "main")
    (folder / "requirements.txt").write_text("")
    (folder / "Procfile").write_text("web: python app.py\n")
    commit(shell, folder, "1")
    with contextlib.chdir(folder):
        shell.ok("git-remote", "hello", "--cluster", "gitpush")
    yield folder
    shell.run("stackyard", "destroy", "hello")
    shell.ok("cluster", "delete", "gitpush")


def commit(shell: Shell, folder: pathlib.Path, version: str) -> str:
    (folder / "app.py").write_text(SERVER.replace("VERSION", version))
    git(shell, folder, "add", "-A")
    git(shell, folder, "commit", "-q", "-m", f"Version {version}")
    return git(shell, folder, "rev-parse", "HEAD").stdout.strip()


def git(shell: Shell, folder: pathlib.Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run git as a user would, in a login shell that knows the `stackyard` command."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    environment = shell.full_environment()
    environment |= {"PATH": f"{BIN}:{environment['PATH']}", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def url_of(shell: Shell) -> str:
    return str(next(app for app in shell.json("apps") if app["name"] == "hello")["app_url"])


def test_a_push_deploys_what_was_committed(shell: Shell, tree: pathlib.Path) -> None:
    done = git(shell, tree, "push", "stackyard", "main")
    assert re.search(r"^remote: ✓ receive +\d+\.\d s +commit [0-9a-f]{12} of main", done.stderr, re.MULTILINE)
    for phase in ("detect", "build", "release", "health", "switch"):
        assert re.search(rf"^remote: ✓ {phase} +\d+\.\d s", done.stderr, re.MULTILINE), done.stderr
    assert re.search(r"^remote: Release: 1 ", done.stderr, re.MULTILINE)
    assert re.search(r"^remote: Image: web sha256:[0-9a-f]{64}", done.stderr, re.MULTILINE)
    told = re.search(r"^remote: URL: (\S+)", done.stderr, re.MULTILINE)
    assert told
    assert get(told[1], "/")["version"] == "1"
    assert "refs/heads/main" in git(shell, tree, "ls-remote", "stackyard").stdout


def test_a_change_is_served_and_no_change_is_told(shell: Shell, tree: pathlib.Path) -> None:
    revision = commit(shell, tree, "2")
    git(shell, tree, "push", "stackyard", "main")
    assert get(url_of(shell), "/")["version"] == "2"
    assert shell.json("releases", "hello")[0]["revision"] == revision
    again = git(shell, tree, "push", "stackyard", "main:master")
    assert "nothing changed; release 2 serves" in again.stderr
    assert len(shell.json("builds", "hello")) == 2


def test_a_failed_build_refuses_the_push(shell: Shell, tree: pathlib.Path) -> None:
    good = git(shell, tree, "rev-parse", "HEAD").stdout.strip()
    (tree / "requirements.txt").write_text("no-such-package-of-ours==99.99\n")
    commit(shell, tree, "3")
    done = git(shell, tree, "push", "stackyard", "main", code=1)
    assert "remote: ✗ push failed: " in done.stderr
    assert "release 2 goes on serving" in done.stderr
    assert "pre-receive hook declined" in done.stderr
    assert get(url_of(shell), "/")["version"] == "2"
    assert git(shell, tree, "ls-remote", "stackyard", "refs/heads/main").stdout.split()[0] == good
    assert "no-such-package-of-ours" in shell.ok("build", "logs", "hello")
    git(shell, tree, "push", "stackyard", "main:wip")
    git(shell, tree, "reset", "-q", "--hard", good)


def test_user_and_password_and_other_projects(shell: Shell, tree: pathlib.Path) -> None:
    url = git(shell, tree, "remote", "get-url", "stackyard").stdout.strip()
    clouds = pathlib.Path(shell.environment["OS_CLIENT_CONFIG_FILE"]).read_text()
    password = re.search(r"password: (\S+)", clouds)
    assert password
    own = url.replace("://", f"://demo:{password[1]}@")
    assert "refs/heads/main" in git(shell, tree, "ls-remote", own).stdout
    assert (
        "Authentication failed" in git(shell, tree, "ls-remote", url.replace("://", "://demo:wrong@"), code=128).stderr
    )
    token = shell.run("openstack", "token", "issue", "-f", "value", "-c", "id", cloud="stackyard-other").stdout.strip()
    theirs = git(shell, tree, "ls-remote", url.replace("://", f"://token:{token}@"), code=128)
    assert "could not be found" in theirs.stderr


def test_the_push_goes_on_when_its_client_leaves(shell: Shell, tree: pathlib.Path) -> None:
    commit(shell, tree, "4")
    environment = shell.full_environment() | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["git", "push", "stackyard", "main"], cwd=tree, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    for line in process.stderr:
        if "goes on without you" in line:
            break
    process.kill()
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 60
    while get(url_of(shell), "/")["version"] != "4":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_url_with_a_submodule(shell: Shell, tree: pathlib.Path, tmp_path: pathlib.Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    git(shell, part, "init", "-q", "-b", "main")
    (part / "requirements.txt").write_text("")
    (part / "app.py").write_text(SERVER.replace("VERSION", "5"))
    git(shell, part, "add", "-A")
    git(shell, part, "commit", "-qm", "part")
    whole = tmp_path / "whole"
    whole.mkdir()
    git(shell, whole, "init", "-q", "-b", "main")
    (whole / "Procfile").write_text("web: python part/app.py\n")
    (whole / "requirements.txt").write_text("")
    git(shell, whole, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(part), "part")
    git(shell, whole, "config", "-f", ".gitmodules", "submodule.part.url", "../part.git")
    git(shell, whole, "add", "-A")
    git(shell, whole, "commit", "-qm", "whole")
    for name in ("part", "whole"):
        git(shell, tmp_path, "clone", "-q", "--bare", name, f"{name}.git")
        git(shell, tmp_path / f"{name}.git", "update-server-info")
    with serving(tmp_path) as url:
        pushed = shell.json("push", f"{url}/whole.git", "--app", "hello", "--revision", "main")
        assert get(pushed["url"], "/")["version"] == "5"
        shell.ok("push", f"{url}/whole.git", "--app", "hello")
        assert shell.json("apps")[0]["release"] == pushed["release"], "nothing changed"


def test_a_plan_without_building(shell: Shell, tree: pathlib.Path) -> None:
    builds = len(shell.json("builds", "hello"))
    assert "service web" in shell.ok("plan", str(tree))
    assert shell.json("plan", str(tree))["services"][0]["pack"]["runtime"]["name"] == "Python"
    assert len(shell.json("builds", "hello")) == builds


@contextlib.contextmanager
def serving(folder: pathlib.Path) -> Iterator[str]:
    """Serve files on loopback; gives the URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
