# SPDX-License-Identifier: Apache-2.0
"""Trees that nobody expects, by a real push: odd names are served with their bytes, the rest is refused in words."""

from __future__ import annotations

import http.client
import os
import pathlib
import socket
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator

import pytest

from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

APP = "odd-trees"
PROGRAM = """
import http.server, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = urllib.parse.unquote_to_bytes(self.path[1:])
        found = os.path.isfile(path)
        self.send_response(200 if found else 404); self.end_headers()
        if found:
            with open(path, "rb") as file: self.wfile.write(file.read(1 << 20))
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
DOCKERFILE = """FROM stackyard/python:3.11
WORKDIR /app
COPY . .
ENV PORT=8000
EXPOSE 8000
CMD ["python", "app.py"]
"""
NAMES = (
    b"with space",
    b"with\nnewline",
    b"caf\xc3\xa9",
    b"latin-\xe9",
    b"-dash",
    b"quo'te\"",
    b"star*",
    b"back\\slash",
    b"tab\there",
    b"%41",
    b"a" * 250,
    b"folder \xff/in \n it",
)


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", APP, "--nodes", "1")
    yield shell
    for app in shell.json("apps"):
        if app["name"].startswith(APP):
            shell.run("stackyard", "destroy", app["name"])
    shell.ok("cluster", "delete", APP, "--yes")


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "app.py").write_text(PROGRAM)
    (tmp_path / "requirements.txt").touch()
    return tmp_path


def push(shell: Shell, tree: pathlib.Path, app: str = APP) -> Callable[[bytes], bytes | None]:
    """Push a tree; give what leads from a path to what is served there (None: it is not there)."""
    url = shell.json("push", str(tree), "--app", app, "--cluster", APP, timeout=800)["url"]
    host = url.removeprefix("http://")

    def served(path: bytes) -> bytes | None:
        connection = http.client.HTTPConnection("127.0.0.1", int(host.rsplit(":", 1)[1]), timeout=20)
        connection.request("GET", "/" + urllib.parse.quote_from_bytes(path), headers={"Host": host})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return data if answer.status == 200 else None

    return served


def content(name: bytes) -> bytes:
    return b"\0\xff of " + name


def write_odd(tree: pathlib.Path) -> None:
    for name in NAMES:
        path = os.path.join(os.fsencode(tree), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pathlib.Path(os.fsdecode(path)).write_bytes(content(name))


@pytest.mark.parametrize("kind", ["pack", "pack in git", "dockerfile"])
def test_files_of_odd_names_are_served_with_their_bytes(shell: Shell, tree: pathlib.Path, kind: str) -> None:
    write_odd(tree)
    if kind == "dockerfile":
        (tree / "Dockerfile").write_text(DOCKERFILE)
    if kind == "pack in git":
        for words in (["init", "-q"], ["add", "-A"]):
            subprocess.run(["git", "-C", str(tree), *words], check=True)
    served = push(shell, tree)
    assert {name: served(name) for name in NAMES} == {name: content(name) for name in NAMES}
    assert served(b"absent") is None


def test_links_within_are_followed_by_the_application(shell: Shell, tree: pathlib.Path) -> None:
    (tree / "real").write_text("real")
    (tree / "folder").mkdir()
    (tree / "folder" / "link").symlink_to("../real")
    assert push(shell, tree)(b"folder/link") == b"real"


def test_what_is_no_part_of_the_tree_is_refused_before_anything_is_sent(shell: Shell, tree: pathlib.Path) -> None:
    before = len(shell.json("builds", APP)) if any(app["name"] == APP for app in shell.json("apps")) else 0

    def refused() -> str:
        return shell.refused("push", str(tree), "--app", APP, "--cluster", APP)

    odd = tree / "odd"
    for target in ("/etc/passwd", "../../up", "folder/../../../up"):
        odd.symlink_to(target)
        assert f"symlink 'odd' -> '{target}' leaves the folder; replace it by a file or ignore it" in refused()
        odd.unlink()
    os.mkfifo(odd)
    assert "'odd' is a pipe, socket or device; remove it or name it in .gitignore" in refused()
    odd.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(odd))
        assert "'odd' is a pipe, socket or device" in refused()
    odd.unlink()
    with odd.open("wb") as file:
        file.truncate(2 * 1024**3)  # sparse
    assert "has 2048 MiB, 2048 are allowed; the largest file is 'odd'; name what need not be uploaded" in refused()
    after = len(shell.json("builds", APP)) if any(app["name"] == APP for app in shell.json("apps")) else 0
    assert after == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_as_many_files_as_are_allowed(shell: Shell, tree: pathlib.Path) -> None:
    # With app.py, requirements.txt and a hundred folders these are 100,000.
    for number in range(99_898):
        path = tree / f"d{number % 100}" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
    served = push(shell, tree, f"{APP}-many")
    assert [served(b"d%d/%d" % (number % 100, number)) for number in (0, 99_897)] == [b"0", b"99897"]
    (tree / "one-more").touch()
    words = shell.refused("push", str(tree), "--app", f"{APP}-many", timeout=800)
    assert "has 99901 files in 100 folders, 100000 together are allowed" in words


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_file_as_large_as_is_allowed(shell: Shell, tree: pathlib.Path) -> None:
    with (tree / "film.mp4").open("wb") as file:
        file.write(b"begins")
        file.truncate(2000 * 1024**2)  # sparse
    served = push(shell, tree, f"{APP}-large")
    assert (served(b"film.mp4") or b"")[:7] == b"begins\0"
