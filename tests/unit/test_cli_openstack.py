# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack check` and `reconfigure`: what is sent, what is told; a package's inputs that are remembered."""

from __future__ import annotations

import json

import click
import pytest
from cli_platform import Platform, Run

from stackyard.cli.openstack import deploying, options, packages

APP = "/application-deployment/v1/apps/openstack"


@pytest.fixture
def deployed(platform: Platform, run: Run, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("OS_CLOUD", "stackyard")
    monkeypatch.setattr("stackyard.cli.openstack.commands.OPERATOR", "stackyard")
    made = {"uuid": "u", "name": "openstack", "status": "DEPLOYMENT_COMPLETE", "release": 1, "cluster_id": "home"}
    platform.apps["openstack"] = made
    platform.workflows["openstack"], platform.releases["openstack"] = [], []
    platform.config["openstack"] = {"API_URL": "http://127.0.0.1:80", "PACKAGE": "identity"}
    platform.scale = {"web": 1}
    return platform


def test_options_are_read_with_their_section_and_service() -> None:
    one, other = options.parsed(["nova/DEFAULT.debug=a=b.c"], ["heat/a.b.c"])
    assert (one.config, one.section, one.name, one.value) == ("nova", "DEFAULT", "debug", "a=b.c")
    assert (other.config, other.section, other.name, other.value) == ("heat", "a.b", "c", None)


@pytest.mark.parametrize("word", ["nova/DEFAULT.debug", "nova=1", "nova/debug=1", "/a.b=1", "nova/a.b=1\n2"])
def test_what_is_no_option_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(click.UsageError):
        options.parsed([word], [])


def test_what_was_asked_for_before_stays_unless_something_else_is() -> None:
    kept = {"API_URL": "https://cloud.example.org", "PACKAGE": "identity", "OPENSTACK_RELEASE": "2025.1"}
    found = packages.deployed(kept, package=None, nodes=None)
    assert (found.package, found.address, found.host, found.nodes) == (
        "identity",
        "https://cloud.example.org",
        "cloud.example.org",
        1,
    )
    assert packages.deployed(kept, package="openstack").package == "openstack"
    assert packages.deployed({}).address == packages.HERE
    assert packages.deployed({"API_URL": "http://h"}).package == "openstack"


def test_config_is_set_where_it_differs_and_secrets_where_they_lack() -> None:
    wanted = packages.Inputs(package="identity")
    first = wanted.config("http://h", "http://p", {})
    assert first["API_URL"] == "http://h"
    assert all("secret" in first[name] for name in ("ADMIN_PASSWORD", "FERNET_KEY_2", "KEYSTONE_DATABASE_PASSWORD"))
    there = {key: None if isinstance(value, dict) else value for key, value in first.items()}
    assert wanted.config("http://h", "http://p", there) == {}
    assert wanted.config("http://other", "http://p", there) == {"API_URL": "http://other"}


def test_an_option_is_put_into_what_lies_over_the_file(run: Run, deployed: Platform) -> None:
    assert "conf" in run("openstack", "reconfigure", "--set", "nothing/a.b=1")[2]
    assert run("openstack", "reconfigure", "--set", "conf/a.b=2", "--dry-run")[1].startswith("# web on n1\n+[a]\nb = 2")
    assert not any(line.startswith("PUT") for line in deployed.seen)
    assert run("openstack", "reconfigure", "--set", "conf/a.b=2", "--set", "conf/c.d=3", "--json")[0] == 0
    assert run("config", "file", "show", "openstack", "conf", "--own")[1] == "[a]\nb = 2\n\n[c]\nd = 3\n"
    assert run("openstack", "reconfigure", "--unset", "conf/c.d")[0] == 0
    assert run("config", "file", "show", "openstack", "conf", "--own")[1] == "[a]\nb = 2\n"
    assert "was not set" in run("openstack", "reconfigure", "--unset", "conf/c.d")[2]


def test_a_check_shows_what_would_change_and_ends_with_1_when_one_fails(run: Run, deployed: Platform) -> None:
    home = {"uuid": "home", "name": "home", "status": "CREATE_COMPLETE", "health_status": "HEALTHY"}
    deployed.clusters["home"] = {**home, "looks": 0, "groups": []}
    code, out, _ = run("openstack", "check", "--replicas", "keystone=3")
    assert code == 0, out
    for words in (
        "config WORD: set (secret)",
        "service keystone: changed (image, files)",
        "image stackyard/identity: 1111 → 2222",
        "scale keystone: 1 → 3",
        "stages: pre_upgrade expand → post_upgrade contract",
        "+debug = true",
        "3 of 3 members of database share a node: the loss of that node stops it",
    ):
        assert words in out
    assert deployed.asked["scale"] == {"keystone": 3}
    deployed.member_state = "waiting"
    code, out, _ = run("openstack", "check", "--json", "--no-services")
    failed = [each for each in json.loads(out)["checks"] if each["result"] == "failed"]
    assert (code, [each["check"] for each in failed]) == (1, ["group database"])
    assert "database-1" in failed[0]["why"]
    code, _, said = run("openstack", "upgrade")
    assert (code, "group database" in said, "--skip-checks" in said) == (1, True, True)


@pytest.mark.parametrize(
    ("nodes", "words"), [("abc", ""), ("aab", "stops it"), ("aabcd", "is borne"), ("aaa", "3 of 3 members")]
)
def test_members_that_share_a_node_are_explained(nodes: str, words: str) -> None:
    said = deploying.shared({"name": "database", "members": [{"node": node} for node in nodes]})
    assert words in said
    assert bool(said) == bool(words)


def test_nothing_to_upgrade_is_told_with_its_cure(
    run: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_CLOUD", "stackyard")
    monkeypatch.setattr("stackyard.cli.openstack.commands.OPERATOR", "stackyard")
    code, _, said = run("openstack", "upgrade")
    assert (code, "stackyard openstack deploy" in said) == (1, True)
