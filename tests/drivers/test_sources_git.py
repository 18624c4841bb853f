# SPDX-License-Identifier: Apache-2.0
"""Fetching from real git servers on loopback: git's own daemon, and a plain file server (the old HTTP protocol)."""

import functools
import http.server
import pathlib
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from stackyard.drivers.sources.archives import SourceFolder
from stackyard.model import errors


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    base = tmp_path_factory.mktemp("served")
    work = base / "work"
    work.mkdir()
    git(work, "init", "-q")
    (work / "app.py").write_text("print(1)\n")
    (work / ".gitattributes").write_text("secret.txt export-ignore\n")
    (work / "secret.txt").write_text("kept\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "first")
    git(work, "tag", "-a", "v1", "-m", "v1")
    (work / "app.py").write_text("print(2)\n")
    git(work, "commit", "-qam", "second")
    git(work, "checkout", "-qb", "wip")
    (work / "app.py").write_text("print(3)\n")
    git(work, "commit", "-qam", "third")
    git(work, "checkout", "-q", "main")
    git(base, "clone", "-q", "--bare", "work", "app.git")
    git(base / "app.git", "update-server-info")
    return base


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def daemon(served: pathlib.Path) -> Iterator[str]:
    port = free_port()
    command = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    process = subprocess.Popen([*command, f"--base-path={served}", str(served)], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"git://127.0.0.1:{port}/app.git"
    process.terminate()
    process.wait()


@pytest.fixture(scope="module")
def files(served: pathlib.Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/app.git"
    server.shutdown()
    server.server_close()


def test_branches_tags_commits_and_the_default(tmp_path: pathlib.Path, served: pathlib.Path, daemon: str) -> None:
    sources = SourceFolder(tmp_path / "s")
    first = git(served / "app.git", "rev-parse", "v1^{commit}")
    expected = {"": "2", "main": "2", "v1": "1", "wip": "3", first: "1", first[:8]: "1"}
    for number, (revision, printed) in enumerate(expected.items()):
        log: list[str] = []
        digest, commit = sources.fetch(daemon, revision, log.append)
        tree = tmp_path / f"tree{number}"
        tree.mkdir()
        sources.unpack(digest, str(tree))
        assert (tree / "app.py").read_text() == f"print({printed})\n"
        assert (tree / "secret.txt").exists()
        assert not (tree / ".git").exists()
        assert commit == git(served / "app.git", "rev-parse", (revision or "main") + "^{commit}")
        assert any(commit[:7] in line for line in log)
    assert all(path.name.endswith(".tar.gz") for path in (tmp_path / "s").iterdir())


def test_the_same_commit_is_the_same_archive(tmp_path: pathlib.Path, daemon: str) -> None:
    sources = SourceFolder(tmp_path / "s")
    assert sources.fetch(daemon, "main", str.strip) == sources.fetch(daemon, "", str.strip)


def test_a_server_that_knows_no_shallow_clones(tmp_path: pathlib.Path, served: pathlib.Path, files: str) -> None:
    digest, commit = SourceFolder(tmp_path / "s").fetch(files, "", str.strip)
    assert commit == git(served / "app.git", "rev-parse", "main")
    assert (tmp_path / "s" / f"{digest}.tar.gz").exists()
    assert SourceFolder(tmp_path / "s").fetch(files, "wip", str.strip)[1] == git(served / "app.git", "rev-parse", "wip")


@pytest.mark.parametrize("revision", ["absent", "deadbeef", "0" * 40])
def test_an_absent_revision(tmp_path: pathlib.Path, daemon: str, revision: str) -> None:
    with pytest.raises(errors.GiveUp) as refusal:
        SourceFolder(tmp_path / "s").fetch(daemon, revision, str.strip)
    assert revision in str(refusal.value)
    assert "check" in str(refusal.value)
    assert list((tmp_path / "s").iterdir()) == []


def test_nobody_listening(tmp_path: pathlib.Path) -> None:
    url = f"http://user:hush@127.0.0.1:{free_port()}/a.git"
    log: list[str] = []
    with pytest.raises(errors.GiveUp, match="check the address") as refusal:
        SourceFolder(tmp_path / "s").fetch(url, "", log.append)
    assert "hush" not in str(refusal.value) + "".join(log)
    assert "onnect" in str(refusal.value)  # git's own word: failed to connect, connection refused


def test_a_server_that_never_answers(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/a.git"
        with pytest.raises(errors.GiveUp, match=r"within 0\.5 seconds"):
            SourceFolder(tmp_path / "s", fetch_seconds=0.5).fetch(url, "", str.strip)


@pytest.mark.parametrize("url", ["ext::touch /tmp/x", "file:///srv/a.git", "/srv/a.git", "--upload-pack=touch x"])
def test_dangerous_transports(tmp_path: pathlib.Path, url: str) -> None:
    with pytest.raises(errors.BadInput):
        SourceFolder(tmp_path / "s").fetch(url, "", str.strip)


def test_nothing_to_see_is_no_reason_to_ask_for_a_password(tmp_path: pathlib.Path) -> None:
    class Private(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=x")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Private)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(errors.GiveUp, match="check that it is public"):
        SourceFolder(tmp_path / "s").fetch(f"http://127.0.0.1:{server.server_address[1]}/a.git", "", str.strip)
    server.shutdown()
    server.server_close()
