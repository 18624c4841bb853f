# SPDX-License-Identifier: Apache-2.0
"""Finding, starting and stopping this machine's Engine, with a small server in dockerd's place."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import psutil
import pytest

from stackyard.local import engine, host
from stackyard.model import errors

DOCKERD = """#!{python}
import http.server, json, os, pathlib, socketserver, sys
args = dict(word.split("=", 1) for word in sys.argv[1:])
print("dockerd begins", flush=True)
if os.environ.get("FAKE_FAILS"):
    sys.exit("failed to start daemon: no space left on device")
path = args["--host"].removeprefix("unix://")
pathlib.Path(args["--pidfile"]).write_text(str(os.getpid()))
pathlib.Path(path).unlink(missing_ok=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self): return ""
    def log_message(self, *_): pass
    def do_GET(self):
        running = int(pathlib.Path(path + ".running").read_text()) if os.path.exists(path + ".running") else 0
        body = json.dumps(dict(ServerVersion="20.10.24", Driver="overlay2", CgroupVersion="1", ApiVersion="1.41",
                               ContainersRunning=running)).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
Server(path, Handler).serve_forever()
"""


class Place:
    """A folder with a dockerd of ours first on PATH, and the address that it shall answer on."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.state = folder / "state"
        self.url = f"unix://{folder}/engine.sock"
        self.socket = folder / "engine.sock"
        self.said: list[str] = []
        command = folder / "bin" / "dockerd"
        command.parent.mkdir()
        command.write_text(DOCKERD.format(python=sys.executable))
        command.chmod(0o755)

    def ensure(self) -> engine.EngineFacts:
        return engine.ensure_engine(self.url, self.said.append, self.state)

    def process(self) -> psutil.Process | None:
        return engine._ours(self.state / "engine" / "dockerd.pid")

    def kill(self) -> None:
        if process := self.process():
            process.kill()
            process.wait(5)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("only root starts an Engine")
    # Not tmp_path: the name of a Unix socket is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="sytest-engine-") as folder:
        made = Place(pathlib.Path(folder))
        monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        monkeypatch.setattr(engine, "SYSTEMD", pathlib.Path(folder) / "no-systemd")
        monkeypatch.setattr(engine, "LOCK", pathlib.Path(folder) / "lock")
        yield made
        made.kill()


def test_starts_one_and_finds_it_again(place: Place) -> None:
    facts = place.ensure()
    assert (facts.version, facts.storage_driver, facts.started_by_us) == ("20.10.24", "overlay2", True)
    first = place.process()
    assert place.ensure() == facts
    assert place.process() == first
    assert place.said == ["starting the Docker Engine"]


def test_outlives_its_starter(place: Place) -> None:
    code = (
        "import pathlib; from stackyard.local import engine;"
        f"engine.SYSTEMD = pathlib.Path('/nothing'); engine.LOCK = pathlib.Path('{place.state}.lock');"
        f"engine.ensure_engine('{place.url}', print, pathlib.Path('{place.state}'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)
    process = place.process()
    assert process is not None
    assert os.getsid(process.pid) == process.pid


def test_killed_engine_is_started_again(place: Place) -> None:
    place.ensure()
    first = place.process()
    place.kill()
    assert place.socket.exists()
    place.ensure()
    assert place.process() not in (None, first)


def test_pid_file_that_names_a_stranger_harms_nobody(place: Place) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (place.state / "engine").mkdir(parents=True)
        (place.state / "engine" / "dockerd.pid").write_text(str(stranger.pid))
        place.ensure()
        assert engine.stop_engine_if_ours(place.state)
        assert stranger.poll() is None
        stranger.kill()


def test_stops_what_it_started_when_nothing_runs(place: Place) -> None:
    place.ensure()
    running = pathlib.Path(f"{place.socket}.running")
    running.write_text("1")
    assert not engine.stop_engine_if_ours(place.state)
    assert place.process() is not None
    running.write_text("0")
    assert engine.stop_engine_if_ours(place.state)
    assert place.process() is None
    assert not (place.state / "engine").exists()


def test_does_not_stop_anothers(place: Place, tmp_path: pathlib.Path) -> None:
    place.ensure()
    assert not engine.ensure_engine(place.url, place.said.append, tmp_path).started_by_us
    assert not engine.stop_engine_if_ours(tmp_path)
    assert place.process() is not None


def test_failure_shows_the_log(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAILS", "1")
    began = time.monotonic()
    with pytest.raises(errors.Unavailable, match="no space left on device"):
        place.ensure()
    assert time.monotonic() - began < 10


def test_says_what_is_missing_and_what_to_do(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/nothing")
    monkeypatch.setattr(host, "SBIN", "/nothing")
    with pytest.raises(errors.Unavailable) as caught:
        place.ensure()
    for word in (place.url, "needs root", "'dockerd' is not installed", "apt-get", "engine_url"):
        assert word in str(caught.value)


def test_engine_elsewhere_is_not_started_from_here(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Unavailable, match="not on this machine"):
        engine.ensure_engine("tcp://127.0.0.1:1", lambda line: None, tmp_path)


@pytest.mark.engine
def test_facts_of_the_real_one(tmp_path: pathlib.Path) -> None:
    facts = engine.ensure_engine("unix:///var/run/docker.sock", lambda line: None, tmp_path)
    assert int(facts.version.split(".")[0]) >= 20
    assert facts.privileged or "SYS_ADMIN" in facts.caps
    assert not facts.started_by_us


def test_missing_command_without_root_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    with pytest.raises(errors.Unavailable, match=r"no-such-command.*apt-get install some-package"):
        host.apt_install(["some-package"], ["no-such-command"], lambda line: None)
