# SPDX-License-Identifier: Apache-2.0
"""OpenStack's small form: Keystone on a Galera of three behind HAProxy, named by Consul; scaled, replaced and hurt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.platform.clusters import Host
from tests.platform.openstack_small import APP, DEPLOY, DEPLOY_SECONDS, FIND, MEMBERS, OPERATOR, Small, until
from tests.platform.shell import Shell
from tools.load import THREADS, Load

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(1800)]

RATE = 20


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell({**platform, "OS_CLOUD": OPERATOR})


@pytest.fixture(scope="module")
def small(shell: Shell, host: Host) -> Iterator[Small]:
    told = shell.json(*DEPLOY, timeout=DEPLOY_SECONDS)
    yield Small(shell, host, told["url"])
    shell.ok("openstack", "destroy", "--yes", timeout=600)


def test_the_client_gets_a_token_and_three_members_form_one_cluster(small: Small) -> None:
    assert small.token()
    assert (small.group()["state"], small.group()["epoch"], small.synced()) == ("formed", 1, set(MEMBERS))
    assert len(small.cluster_ids()) == 1


def test_checks_pass_and_nothing_would_change(small: Small) -> None:
    found = small.shell.json("openstack", "check", timeout=600)
    assert [each for each in found["checks"] if each["result"] != "ok"] == []
    assert [found["changes"][name] for name in ("services", "files", "config", "scale")] == [[], [], [], []]


def test_a_scaled_service_is_found_by_its_names(small: Small) -> None:
    small.shell.ok("scale", APP, "keystone=3")
    assert len(small.endpoints("keystone")) == 3
    until(lambda: small.registered("keystone") == small.endpoints("keystone"))
    assert small.named("keystone") == {int(each.rpartition(":")[2]) for each in small.endpoints("keystone")}


def test_replicas_are_replaced_under_load_without_a_failed_request(small: Small) -> None:
    before = small.endpoints("keystone")
    with Load(small.origin, "/identity/v3", RATE) as load:
        small.shell.ok("openstack", "reconfigure", "--set", "keystone/token.expiration=7200", timeout=600)
        until(lambda: len(small.endpoints("keystone") - before) == len(small.endpoints("keystone")) == 3)
    assert load.total > 0
    assert (load.failed, load.problems) == (0, [])
    assert small.token()


def test_a_killed_replica_loses_at_most_what_it_was_answering(small: Small) -> None:
    with Load(small.origin, "/identity/v3", RATE) as load:
        small.on_nodes(f"docker kill $({FIND.format('keystone')} | head -1)")
        load.until(lambda sample: not sample.problem, 20)
        until(lambda: len(small.replicas("keystone")) == 3)
    assert load.failed <= THREADS, load.problems


def test_after_the_loss_of_all_members_of_the_database_there_are_tokens_again(small: Small) -> None:
    assert small.token()
    small.on_nodes("docker kill $(docker ps -q -f label=stackyard.group=database)")
    until(lambda: small.group()["epoch"] == 2 and small.synced() == set(MEMBERS))
    assert until(small.token)
    assert len(small.cluster_ids()) == 1
