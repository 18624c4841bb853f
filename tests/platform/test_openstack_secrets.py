# SPDX-License-Identifier: Apache-2.0
"""A real Keystone goes on answering while its keys and its database's password are replaced, and its options change."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.platform.shell import Shell
from tools.load import Load

pytestmark = [
    pytest.mark.platform,
    pytest.mark.engine,
    pytest.mark.openstack,
    pytest.mark.timeout(2400),
]
CLOUD = APP = "openstack"
RATE = 20.0
QUERY = "SELECT Priv FROM mysql.global_priv WHERE User='keystone'"
DIGESTS = f'mariadb -N -uroot -p"$(cat /run/secrets/database-root)" -e "{QUERY}"'


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Shell:
    return Shell(platform)


@pytest.fixture(scope="module")
def url(shell: Shell) -> Iterator[str]:
    yield shell.json("openstack", "deploy", "--package", "identity", timeout=2000)["url"]
    shell.ok("openstack", "destroy", "--yes", timeout=600)


def client(shell: Shell, *words: str) -> Any:
    done = shell.run("openstack", *words, "-f", "json", cloud=CLOUD)
    assert done.returncode == 0, f"openstack {' '.join(words)}\n{done.stderr}"
    return json.loads(done.stdout)


def operator(shell: Shell, *words: str) -> str:
    """Run `stackyard` as the one whose application it is."""
    return shell.ok(*words, cloud="stackyard-admin", timeout=600)


def until(look: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def keystones(shell: Shell) -> set[str]:
    found = json.loads(operator(shell, "openstack", "status", "--json"))
    return {each["started_at"] for each in found if each["service"] == "keystone" and each["state"] == "running"}


def replaced(shell: Shell, before: set[str]) -> bool:
    """Tell whether all replicas of before are gone, and others are there."""
    now = keystones(shell)
    return bool(now) and not now & before


def load(url: str, path: str, token: str) -> Load:
    return Load(url, f"/identity/v3{path}", RATE, {"X-Auth-Token": token, "X-Subject-Token": token})


def test_tokens_stay_good_while_their_keys_are_rotated(shell: Shell, url: str) -> None:
    before, token = keystones(shell), client(shell, "token", "issue")["id"]
    with load(url, "/auth/tokens", token) as requests:
        operator(shell, "openstack", "rotate", "fernet")
        until(lambda: replaced(shell, before))
        assert client(shell, "token", "issue")["id"] != token
    assert requests.problems == []
    assert requests.total > RATE
    done = shell.run("stackyard", "openstack", "rotate", "fernet", cloud="stackyard-admin")
    assert (done.returncode, "are good until" in done.stderr) == (1, True)


def test_the_password_of_the_database_is_replaced_under_load(shell: Shell, url: str) -> None:
    def digests() -> str:
        return operator(shell, "exec", APP, "--replica", "database-1", "--", "sh", "-c", DIGESTS)

    token, old = client(shell, "token", "issue")["id"], json.loads(digests())["authentication_string"]
    before = keystones(shell)
    with load(url, "/users", token) as requests:
        operator(shell, "openstack", "rotate", "passwords", "--service", "keystone")
        until(lambda: replaced(shell, before))
        until(lambda: old not in digests())
    assert requests.problems == []
    assert requests.total > RATE


def test_stored_credentials_outlive_two_rotations_of_their_keys(shell: Shell, url: str) -> None:
    made = client(shell, "ec2", "credentials", "create")
    for _ in range(2):
        operator(shell, "openstack", "rotate", "credential")
    assert client(shell, "ec2", "credentials", "show", made["access"])["secret"] == made["secret"]


def test_options_that_keystone_does_not_know_are_refused(shell: Shell, url: str, tmp_path: pathlib.Path) -> None:
    for text, words in (
        ("[token]\nexpiraton = 1\n", "[token] expiraton is not known; did you mean expiration?"),
        ("[token]\nexpiration = long\n", "[token] expiration is no integer value"),
        ("[tokens]\nexpiration = 1\n", "[token] has it"),
    ):
        (tmp_path / "mine").write_text(text)
        wanted = ("config", "file", "set", APP, "keystone", str(tmp_path / "mine"))
        done = shell.run("stackyard", *wanted, cloud="stackyard-admin")
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr


def test_the_more_particular_file_wins_and_a_rollback_brings_the_one_before(
    shell: Shell, url: str, tmp_path: pathlib.Path
) -> None:
    def expiration() -> str:
        text = operator(shell, "exec", APP, "--replica", "keystone", "--", "cat", "/etc/keystone/keystone.conf")
        return next((line for line in text.splitlines() if line.startswith("expiration")), "")

    def asked(value: int, *where: str, verb: str = "set") -> str:
        (tmp_path / "mine").write_text(f"[token]\nexpiration = {value}\n")
        return operator(shell, "config", "file", verb, APP, "keystone", str(tmp_path / "mine"), *where)

    [row] = [
        each for each in json.loads(operator(shell, "openstack", "status", "--json")) if each["service"] == "keystone"
    ]
    node = ("--service", "keystone", "--node", row["node"])
    assert expiration() == ""
    for value, where in ((7000, ()), (7100, node[:2]), (7200, node)):
        assert f"+expiration = {value}" in asked(value, *where, verb="diff")
        asked(value, *where)
        assert expiration() == f"expiration = {value}"
    asked(7300)
    assert expiration() == "expiration = 7200"
    operator(shell, "config", "file", "unset", APP, "keystone", *node)
    assert expiration() == "expiration = 7100"
    operator(shell, "rollback", APP)
    assert expiration() == "expiration = 7200"


def test_it_is_moved_to_https_at_its_address(shell: Shell, url: str) -> None:
    [domain] = json.loads(operator(shell, "domains", APP, "--json"))
    told = shell.json("openstack", "deploy", "--api-address", domain["url"], timeout=600)
    assert (told["url"], told["package"]) == (domain["url"], "identity")
    assert client(shell, "token", "issue")["id"]
    [public] = client(shell, "endpoint", "list", "--interface", "public")
    assert public["URL"] == f"{domain['url']}/identity"
