# SPDX-License-Identifier: Apache-2.0
"""Options, addresses, clouds and the state folder of the one-machine platform, without starting anything."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator

import pytest
import yaml

from stackyard import conf
from stackyard.local import addresses, clouds, settings
from stackyard.local.addresses import Address
from stackyard.local.state import State
from stackyard.model import errors


@pytest.fixture
def state() -> Iterator[State]:
    with tempfile.TemporaryDirectory(prefix="sytest-options-") as folder:
        made = State(pathlib.Path(folder) / "state")
        made.make()
        yield made


def bring(state: State, given: settings.Given) -> None:
    settings.save(state, settings.merge(state, given))


def test_options_given_once_are_remembered(state: State) -> None:
    bring(state, {("api", "port"): "9001", ("DEFAULT", "instance"): "second"})
    bring(state, {("worker", "processes"): "3"})
    options = settings.read(state)
    assert (options.api.port, options.instance, options.worker.processes) == (9001, "second", 3)
    assert options.identity.auth_url == "http://127.0.0.1:8781/v3"
    assert options.database.connection == f"sqlite:///{state.folder}/stackyard.db"
    assert "threads" not in state.conf.read_text()


def test_the_same_options_make_the_same_file(state: State) -> None:
    bring(state, {("router", "port"): "9001", ("api", "port"): "9002"})
    before = state.conf.read_text()
    bring(state, {})
    bring(state, {("api", "port"): "9002"})
    assert state.conf.read_text() == before


def test_our_own_keystone_moves_with_its_port_and_a_foreign_one_stays(state: State) -> None:
    bring(state, {})
    bring(state, {("identity", "port"): "9002"})
    options = settings.read(state)
    assert options.identity.auth_url == "http://127.0.0.1:9002/v3"
    assert settings.own_identity(options)
    bring(state, {("identity", "auth_url"): "https://cloud.example/v3", ("identity", "password"): "theirs"})
    bring(state, {("identity", "port"): "9003"})
    options = settings.read(state)
    assert options.identity.auth_url == "https://cloud.example/v3"
    assert options.identity.password == "theirs"
    assert not settings.own_identity(options)


def test_what_was_changed_by_hand_is_kept(state: State) -> None:
    bring(state, {})
    state.conf.write_text(state.conf.read_text() + "\n[apps]\ndrain_seconds = 77\n")
    bring(state, {("api", "port"): "9001"})
    assert settings.read(state).apps.drain_seconds == 77


@pytest.mark.parametrize("value", ["0x", "99999", "-1", "a\n[identity]\nport=1"])
def test_bad_values_change_nothing(state: State, value: str) -> None:
    bring(state, {})
    before = state.conf.read_text()
    with pytest.raises(errors.BadInput):
        bring(state, {("api", "port"): value})
    assert state.conf.read_text() == before


def test_files_are_private(state: State) -> None:
    bring(state, {})
    clouds.write_clouds(state, "http://127.0.0.1:8781/v3")
    assert state.folder.stat().st_mode & 0o777 == 0o700
    files = [path for path in state.folder.rglob("*") if path.is_file()]
    assert len(files) >= 5
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert len({path.read_text() for path in files if path.suffix == ".password"}) == 4


def test_nothing_was_started_here(state: State) -> None:
    with pytest.raises(errors.NotFound, match="stackyard up"):
        settings.read(state)


def test_folder_too_deep_or_impossible_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.BadInput, match="--state-dir"):
        State("/x" * 60)
    (tmp_path / "file").write_text("")
    with tempfile.NamedTemporaryFile() as file, pytest.raises(errors.BadInput, match="--state-dir"):
        State(f"{file.name}/state").make()


def test_the_second_waits_and_says_so(state: State) -> None:
    said: list[str] = []
    order: list[str] = []
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with state.alone(said.append):
            inside.set()
            go.wait(10)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(10)
    threading.Timer(0.2, go.set).start()
    with state.alone(said.append):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert len(said) == 1
    assert "waiting" in said[0]


def test_taken_port_is_named_with_its_holder_and_the_option() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(errors.Conflict) as caught:
            addresses.check([Address("api", "127.0.0.1", port, "--api-port")])
        with pytest.raises(errors.Conflict, match="more than one"):
            addresses.check([Address(part, "127.0.0.1", port, "--x-port") for part in ("api", "router")])
    for word in (str(port), f"process {os.getpid()}", "--api-port"):
        assert word in str(caught.value)
    addresses.check([Address("api", "127.0.0.1", port, "--api-port")])


def test_clouds_and_exports_work_in_a_shell(state: State) -> None:
    bring(state, {})
    clouds.write_clouds(state, "http://127.0.0.1:8781/v3")
    made = yaml.safe_load(state.clouds.read_text())["clouds"]
    assert {name: each["auth"]["project_name"] for name, each in made.items()} == {
        "stackyard": "demo",
        "stackyard-admin": "admin",
        "stackyard-other": "other",
    }
    before = {
        "PATH": "/usr/bin:/bin",
        "OS_AUTH_URL": "https://elsewhere",
        "OS_TOKEN": "x",
        "OS_CLOUD": "elsewhere",
        "https_proxy": "",
        "http_proxy": "http://proxy:1",
    }
    script = clouds.exports(state, before) + "\nenv"
    done = subprocess.run(["sh", "-c", script], env=before, capture_output=True, text=True, check=True)
    after = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert {key for key in after if key.startswith("OS_")} == {"OS_CLOUD", "OS_CLIENT_CONFIG_FILE"}
    assert after["OS_CLOUD"] == "stackyard"
    assert after["STACKYARD_STATE_DIR"] == str(state.folder)
    assert (pathlib.Path(after["PATH"].split(":")[0]) / "openstack").exists()
    assert "127.0.0.1" in after["no_proxy"]


def test_a_chosen_cloud_of_ours_stays_chosen_and_the_default_folder_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STACKYARD_STATE_DIR", raising=False)
    text = clouds.exports(State(conf.default_state_dir()), {"OS_CLOUD": "stackyard-other"})
    assert "OS_CLOUD=stackyard-other" in text
    assert "STACKYARD_STATE_DIR" not in text
