# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine ends and comes back: clusters, what runs on them and the platform itself come back with it.

Runs only where nobody else is harmed: on an Engine that the tests started themselves, and without foreign containers.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable

import docker
import psutil
import pytest

from stackyard.drivers.machines.container import INSTANCE
from stackyard.local import engine
from tests.conftest import ENGINE, STATE
from tests.platform.clusters import Api, Host, until
from tests.platform.conftest import NAME
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

MARKER = STATE / "engine" / "engine.json"


def foreign() -> list[str]:
    """Return the containers that are not of this test run's platform."""
    found = docker.from_env().containers.list(all=True, ignore_removed=True)
    return [str(each.name) for each in found if each.labels.get(INSTANCE) != NAME]


@pytest.fixture
def ours(platform: dict[str, str]) -> None:
    if not MARKER.exists():
        pytest.skip("the Engine was there before the tests: it is somebody else's to restart")
    if others := foreign():
        pytest.skip(f"others have containers on this Engine: {', '.join(others)}")


def restart(how: signal.Signals, meanwhile: Callable[[], None]) -> None:
    """End the Engine, and start it as the tests did."""
    if json.loads(MARKER.read_text())["systemd"]:
        subprocess.run(["systemctl", "kill", f"--signal={how.name}", "docker.service"], check=True)
    else:
        process = psutil.Process(int((STATE / "engine" / "dockerd.pid").read_text()))
        helpers = [child for child in process.children() if child.name() == "containerd"]
        process.send_signal(how)
        psutil.wait_procs([process, *helpers], timeout=60)
    meanwhile()
    engine.ensure_engine(ENGINE, lambda line: print(line, flush=True), STATE)


def down(platform: dict[str, str]) -> list[str]:
    """Return the parts of the platform that are not up."""
    parts = json.loads(Shell(platform).run("stackyard", "status", "--json").stdout)
    return [f"{each['part']}: {each['status']}" for each in parts if each["status"] != "up"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_engine_that_comes_back(
    api: Api, host: Host, platform: dict[str, str], ours: None, how: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = host.belongings()
    cluster = api.made("restarted", nodes=1, managers=3)
    template = api.template("sytest")
    asked: list[str] = []

    def meanwhile() -> None:
        assert (api.show(cluster) or {})["name"] == "restarted"
        asked.append(api.create("asked-meanwhile", nodes=0, cluster_template_id=template))

    restart(how, meanwhile)
    began = time.monotonic()
    until(lambda: host.is_whole(cluster, 3, 1) and api.healthy(cluster), 240)
    with capsys.disabled():
        print(
            f"\nthe Engine ended by {how.name}: 3+1 nodes whole again {time.monotonic() - began:.1f} s after its start"
        )
    until(lambda: api.settled(asked[0]), 240)
    host.check_whole(asked[0], managers=1, workers=0)
    until(lambda: not down(platform), 60)
    api.remove(cluster, *asked)
    assert host.belongings() == before
