# SPDX-License-Identifier: Apache-2.0
"""Submodules, Git LFS, redirects and addresses that are refused: real git servers on loopback."""

from __future__ import annotations

import http.server
import pathlib
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stackyard.drivers.sources.addresses import Gate
from stackyard.drivers.sources.archives import SourceFolder
from stackyard.drivers.sources.submodules import absolute
from stackyard.model import errors

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Host:
    """A git server; `repository` makes one of files and of submodules (path → (URL, commit))."""

    def __init__(self, base: pathlib.Path, url: str) -> None:
        self.base = base
        self.url = url

    def repository(
        self, name: str, files: dict[str, str], modules: dict[str, tuple[str, str]] | None = None, *, named: bool = True
    ) -> str:
        """Return the commit."""
        work = self.base / f"{name}-work"
        if not work.exists():
            work.mkdir(parents=True)
            git(work, "init", "-q")
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        for path, (url, commit) in (modules or {}).items():
            if named:
                git(work, "config", "-f", ".gitmodules", f"submodule.{path}.path", path)
                git(work, "config", "-f", ".gitmodules", f"submodule.{path}.url", url)
            git(work, "update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        git(work, "add", *[*files, *([".gitmodules"] if modules and named else [])])
        git(work, "commit", "-qm", name)
        bare = self.base / f"{name}.git"
        if bare.exists():
            git(bare, "fetch", "-q", str(work), "+main:main")
        else:
            git(self.base, "clone", "-q", "--bare", str(work), str(bare))
        return git(work, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Host]]:
    """Gives a host by name, each a folder of one git daemon."""
    base = tmp_path_factory.mktemp("hosts")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = int(sock.getsockname()[1])
    command = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all"]
    process = subprocess.Popen([*command, f"--base-path={base}", str(base)], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)

    def host(name: str) -> Host:
        (base / name).mkdir()
        return Host(base / name, f"git://localhost:{port}/{name}")

    yield host
    process.terminate()
    process.wait()


def names(folder: pathlib.Path, digest: str) -> list[str]:
    with tarfile.open(folder / f"{digest}.tar.gz") as tar:
        return sorted(entry.name for entry in tar if entry.isfile())


class TestSubmodules:
    def test_all_depths_and_relative_addresses(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host]) -> None:
        host = daemon("deep")
        inner = host.repository("inner", {"inner.txt": "i", "näme with\nnewline": "x"})
        middle = host.repository("middle", {"middle.txt": "m"}, {"deep/er": ("../inner.git", inner)})
        old = host.repository("other", {"other.txt": "old"})
        host.repository("other", {"other.txt": "new"})
        outer = host.repository(
            "outer", {"outer.txt": "o"}, {"lib": ("../middle.git", middle), "oth": (f"{host.url}/other.git", old)}
        )
        log: list[str] = []
        sources = SourceFolder(tmp_path)
        digest, commit = sources.fetch(f"{host.url}/outer.git", "", log.append)
        assert commit == outer
        assert names(tmp_path, digest) == [
            ".gitmodules",
            "lib/.gitmodules",
            "lib/deep/er/inner.txt",
            "lib/deep/er/näme with\nnewline",
            "lib/middle.txt",
            "oth/other.txt",
            "outer.txt",
        ]
        tree = tmp_path / "tree"
        tree.mkdir()
        sources.unpack(digest, str(tree))
        assert (tree / "oth" / "other.txt").read_text() == "old", "the commit that is named, not the newest"
        assert any(line.startswith(f"Submodule 'lib/deep/er' {inner[:7]} of {host.url}/inner.git") for line in log)
        assert sources.fetch(f"{host.url}/outer.git", "", log.append)[0] == digest, "the same bytes each time"

    def test_a_loop(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host]) -> None:
        host = daemon("loop")
        first = host.repository("a", {"a.txt": "a"})
        second = host.repository("b", {"b.txt": "b"}, {"a": ("../a.git", first)})
        host.repository("a", {"a.txt": "aa"}, {"b": ("../b.git", second)})
        with pytest.raises(errors.GiveUp, match=r"submodule 'b/a' leads back to git://.*/a.git, which it is part of"):
            SourceFolder(tmp_path).fetch(f"{host.url}/a.git", "", str.strip)

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("ext::sh -c touch% /tmp/x", "submodule 'lib': .*(spaces|refused)"),
            ("file:///etc", "submodule 'lib': .*transport 'file://' is refused"),
            ("--upload-pack=touch", "submodule 'lib': .*looks like an option"),
            (
                "http://169.254.169.254/latest.git",
                r"submodule 'lib': .*169\.254\.169\.254, which the platform",
            ),
            ("./../../../../../etc", "submodule 'lib': "),
        ],
    )
    def test_dangerous_ones(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host], url: str, words: str) -> None:
        host = daemon(f"danger{abs(hash(url))}")
        host.repository("outer", {"o": "o"}, {"lib": (url, "1" * 40)})
        with pytest.raises(errors.GiveUp, match=words):
            SourceFolder(tmp_path).fetch(f"{host.url}/outer.git", "", str.strip)

    def test_a_commit_that_is_gone(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host]) -> None:
        host = daemon("gone")
        host.repository("inner", {"i": "i"})
        host.repository("outer", {"o": "o"}, {"lib": ("../inner.git", "1" * 40)})
        with pytest.raises(errors.GiveUp, match=r"submodule 'lib': git can't fetch .*check that branch, tag or commit"):
            SourceFolder(tmp_path).fetch(f"{host.url}/outer.git", "", str.strip)

    def test_a_repository_within_that_nobody_names(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host]) -> None:
        host = daemon("stray")
        host.repository("outer", {"o": "o"}, {"lib": ("", "1" * 40)}, named=False)
        log: list[str] = []
        digest, _ = SourceFolder(tmp_path).fetch(f"{host.url}/outer.git", "", log.append)
        assert names(tmp_path, digest) == ["o"]
        assert any("'lib' is a repository that .gitmodules does not name" in line for line in log)

    @pytest.mark.parametrize(
        ("base", "url", "expected"),
        [
            ("https://h/g/a.git", "../b.git", "https://h/g/b.git"),
            ("https://h/g/a.git/", "../../x/b", "https://h/x/b"),
            ("https://h/g/a", "./b", "https://h/g/a/b"),
            ("git@h:g/a.git", "../b.git", "git@h:g/b.git"),
            ("git@h:a.git", "../b.git", "git@h:b.git"),
        ],
    )
    def test_relative_addresses_as_git_joins_them(self, base: str, url: str, expected: str) -> None:
        assert absolute(base, url, "lib") == expected


class TestLFS:
    def test_is_refused_by_name(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host]) -> None:
        host = daemon("lfs")
        attributes = {"art/.gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n"}
        host.repository("a", attributes | {f"art/{n}.psd": POINTER for n in range(7)} | {"art/real.psd": "8BPS"})
        with pytest.raises(errors.GiveUp, match=r"'art/0.psd', .*'art/4.psd' and 2 more; commit their content") as told:
            SourceFolder(tmp_path).fetch(f"{host.url}/a.git", "", str.strip)
        assert "real.psd" not in str(told.value)
        assert list(tmp_path.iterdir()) == []

    def test_content_is_fine(self, tmp_path: pathlib.Path, daemon: Callable[[str], Host]) -> None:
        host = daemon("nolfs")
        host.repository(
            "a",
            {
                ".gitattributes": "*.psd filter=lfs\n",
                "a.psd": "8BPS",
                "doc.txt": "it says: version https://git-lfs.github.com/spec/v1\n",
            },
        )
        host.repository("b", {"pointer.txt": POINTER})
        for name in ("a", "b"):
            SourceFolder(tmp_path).fetch(f"{host.url}/{name}.git", "", str.strip)


class TestAddresses:
    @pytest.mark.parametrize(
        "host",
        [
            *("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0xa9fea9fe", "2852039166", "169.254.43518"),
            *("[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[fd00:ec2::254]", "0.0.0.0"),
        ],
    )
    @pytest.mark.parametrize("transport", ["http", "https", "git", "ssh"])
    def test_metadata_services_are_never_asked(self, host: str, transport: str) -> None:
        with pytest.raises(errors.GiveUp, match="which the platform does not fetch from; push the folder instead"):
            Gate().reach(f"{transport}://user:hush@{host}/a.git")

    def test_a_name_that_leads_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 80)), (2, 1, 6, "", ("169.254.1.1", 80))],
        )
        with pytest.raises(errors.GiveUp, match=r"innocent.example.org is at 169\.254\.1\.1"):
            Gate().reach("https://innocent.example.org/a.git")

    def test_git_is_held_to_the_address_that_was_judged(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 80))])
        gate = Gate()
        assert "http.curloptResolve=h.example.org:8443:10.0.0.1" in gate.reach("https://h.example.org:8443/a").settings
        assert "-oHostName=10.0.0.1" in gate.reach("git@h.example.org:a.git").extra["GIT_SSH_COMMAND"]
        plain = gate.reach("git://h.example.org/a.git")
        assert (plain.url, plain.extra["GIT_OVERRIDE_VIRTUAL_HOST"]) == ("git://10.0.0.1:9418/a.git", "h.example.org")

    def test_own_networks(self) -> None:
        with pytest.raises(errors.GiveUp, match="does not fetch from"):
            Gate(("127.0.0.0/8",)).reach("http://127.0.0.1/a.git")
        Gate(("10.0.0.0/8",)).reach("http://127.0.0.1/a.git")

    def test_a_host_that_is_not_there(self) -> None:
        with pytest.raises(errors.GiveUp, match=r"there is no host 'no-such-host.invalid'; check the address"):
            Gate().reach("git://no-such-host.invalid/a.git")


@pytest.fixture
def redirecting(tmp_path: pathlib.Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A file server on loopback that sends some paths elsewhere; gives its URL and the table."""
    table: dict[str, str] = {}

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            for path, target in table.items():
                if self.path.startswith(path):
                    self.send_response(301)
                    self.send_header("Location", target + self.path.removeprefix(path))
                    self.end_headers()
                    return
            super().do_GET()

        def translate_path(self, path: str) -> str:
            return str(tmp_path / path.partition("?")[0].lstrip("/"))

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", table
    server.shutdown()
    server.server_close()


class TestRedirects:
    def test_are_followed_and_judged(self, tmp_path: pathlib.Path, redirecting: tuple[str, dict[str, str]]) -> None:
        url, table = redirecting
        host = Host(tmp_path, url)
        commit = host.repository("real", {"a": "a"})
        git(tmp_path / "real.git", "update-server-info")
        table |= {"/short": f"{url}/real.git", "/meta": "http://169.254.169.254/a.git", "/round": f"{url}/round"}
        sources = SourceFolder(tmp_path / "s")
        log: list[str] = []
        assert sources.fetch(f"{url}/short", "", log.append)[1] == commit
        assert any(f"{url}/short leads to {url}/real.git" in line for line in log)
        with pytest.raises(errors.GiveUp, match=r"169\.254\.169\.254, which the platform does not"):
            sources.fetch(f"{url}/meta", "", str.strip)
        with pytest.raises(errors.GiveUp, match="leads on and on"):
            sources.fetch(f"{url}/round", "", str.strip)
