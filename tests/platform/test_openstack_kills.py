# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of worker and API at each step of OpenStack's deployment, and of the release after it: the same end state."""

from __future__ import annotations

import threading

import pytest

from tests.platform.clusters import Host
from tests.platform.killing import Killer
from tests.platform.openstack_small import DEPLOY, DEPLOY_SECONDS, OPERATOR, Small, until
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(3600)]

DEPLOY_STEPS = (
    *("PinService", "StartRun", "Hear", "Claim", "GrantBootstrap", "Form"),
    *("StartStage", "Initialised", "SwitchRoute", "Serve"),
)
CHANGE_STEPS = ("StartStage", "StartRun", "Serve", "StopRun", "Upgraded")
CHANGE = ("openstack", "reconfigure", "--set", "keystone/token.expiration=7200")


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell({**platform, "OS_CLOUD": OPERATOR})


def test_a_deployment_and_a_change_killed_at_every_step_come_to_the_same_end(
    shell: Shell, host: Host, killer: Killer
) -> None:
    killer.through(lambda: started(shell, *DEPLOY), *DEPLOY_STEPS)
    told = until(lambda: shell.json(*DEPLOY, timeout=DEPLOY_SECONDS), 900)
    small = Small(shell, host, told["url"])
    well(small)
    assert small.group()["epoch"] == 1
    killer.through(lambda: started(shell, *CHANGE), *CHANGE_STEPS)
    until(lambda: shell.json("apps")[0]["status"] == "DEPLOYMENT_COMPLETE", 300)
    well(small)
    shell.ok("openstack", "destroy", "--yes", timeout=600)


def started(shell: Shell, *words: str) -> threading.Thread:
    """Run a command beside; it may end badly, since the platform dies under it."""
    thread = threading.Thread(target=shell.run, args=("stackyard", *words), kwargs={"timeout": 1500}, daemon=True)
    thread.start()
    return thread


def well(small: Small) -> None:
    assert small.token()
    assert len(small.cluster_ids()) == 1
    found = small.shell.json("openstack", "check", timeout=600)
    assert [each for each in found["checks"] if each["result"] != "ok"] == []
