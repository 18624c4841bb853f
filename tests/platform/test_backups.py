# SPDX-License-Identifier: Apache-2.0
"""Backups on the whole platform: a real MariaDB's dump and a volume's archive, verified, damaged, restored, deleted."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.platform.killing import Killer
from tests.platform.shell import Shell

pytestmark = [pytest.mark.platform, pytest.mark.engine, pytest.mark.timeout(900)]

APP = "backups-shop"
COMPOSE = """
services:
  db:
    image: stackyard/mariadb
    environment: {MARIADB_DATABASE: shop}
    volumes: ["data:/var/lib/mysql"]
    healthcheck: {test: [CMD, stackyard-backup, ready], interval: 1s, start_period: 60s}
    x-stackyard:
      backup:
        command: [stackyard-backup, dump]
        restore: [stackyard-backup, restore]
        check: [sh, -c, "stackyard-backup check && mariadb -e 'SELECT * FROM shop.words'"]
  store:
    image: stackyard/mariadb
    command: [sleep, infinity]
    volumes: ["files:/files"]
    x-stackyard: {backup: {check: [grep, -q, picture, /files/in/one]}}
volumes: {data: , files: }
"""
SECRET = "a-row-that-nobody-may-read"


@pytest.fixture(scope="module")
def shell(platform: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(platform)
    shell.ok("cluster", "create", "backups-home", "--nodes", "1")
    yield shell
    shell.run("stackyard", "destroy", APP, "--yes")
    shell.ok("cluster", "delete", "backups-home", "--yes")


@pytest.fixture(scope="module")
def app(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("backups")
    (folder / "compose.yaml").write_text(COMPOSE)
    shell.ok("push", str(folder), "--app", APP, "--cluster", "backups-home", timeout=600)
    return APP


def sql(shell: Shell, words: str) -> str:
    return shell.ok("exec", "--replica", "db", APP, "--", "mariadb", "-N", "-B", "-e", words, "shop")


def store(shell: Shell, words: str) -> str:
    return shell.ok("exec", "--replica", "store", APP, "--", "sh", "-c", words)


def fill(shell: Shell) -> None:
    """Have one row and one file."""
    sql(shell, f"CREATE OR REPLACE TABLE words (word TEXT); INSERT INTO words VALUES ('{SECRET}')")
    sql(shell, "CREATE USER IF NOT EXISTS clerk@'%' IDENTIFIED BY 'x'; GRANT SELECT ON shop.* TO clerk@'%'")
    store(shell, "rm -rf /files/*; mkdir -p /files/in; echo picture > /files/in/one; chown -R 1234:5 /files/in")


def spoil(shell: Shell) -> None:
    """Lose both, and have others."""
    sql(shell, "DROP TABLE words; CREATE OR REPLACE TABLE later (word TEXT); DROP USER clerk@'%'")
    store(shell, "rm -rf /files/in; echo later > /files/two")


def file_of(platform: dict[str, str], backup: dict[str, Any]) -> pathlib.Path:
    [found] = pathlib.Path(platform["STACKYARD_STATE_DIR"]).glob(f"backups/*/{backup['uuid']}")
    return found


def asked(shell: Shell, word: str, backup: dict[str, Any], code: int = 0) -> dict[str, Any]:
    yes = ["--yes"] if word == "restore" else []
    done = shell.run("stackyard", "backup", word, APP, str(backup["number"]), *yes, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    [told] = json.loads(done.stdout)
    return dict(told)


def rest(shell: Shell, backup: dict[str, Any]) -> dict[str, Any]:
    """Wait until nothing is being done with a backup; bear an API that comes back."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done = shell.run("stackyard", "backup", "show", APP, str(backup["number"]), "--json")
        found = json.loads(done.stdout) if done.returncode == 0 else {"status": "CREATING"}
        if found["status"] in ("AVAILABLE", "ERROR"):
            return dict(found)
        time.sleep(0.5)
    raise AssertionError("it does not come to rest")


@pytest.fixture(scope="module")
def made(shell: Shell, app: str) -> dict[str, dict[str, Any]]:
    """A backup of each service, by its name."""
    fill(shell)
    return {each["service"]: each for each in shell.json("backup", "create", app)}


def test_they_are_made_and_sealed(shell: Shell, platform: dict[str, str], made: dict[str, dict[str, Any]]) -> None:
    assert {name: (each["status"], each["form"]) for name, each in made.items()} == {
        "db": ("AVAILABLE", "dump"),
        "store": ("AVAILABLE", "archive"),
    }
    for each in made.values():
        assert each["size"] > 0
        assert SECRET.encode() not in file_of(platform, each).read_bytes()
    assert [each["service"] for each in shell.json("backup", "list", APP)] == ["store", "db"]


def test_they_are_proved_and_restored(shell: Shell, made: dict[str, dict[str, Any]]) -> None:
    spoil(shell)
    for each in made.values():
        assert asked(shell, "verify", each)["verified_at"]
    assert sql(shell, "SHOW TABLES").split() == ["later"]
    for each in made.values():
        assert asked(shell, "restore", each)["restored_at"]
    assert sql(shell, "SELECT * FROM words").strip() == SECRET
    assert sql(shell, "SHOW TABLES").split() == ["words"]
    assert "GRANT SELECT ON `shop`.*" in sql(shell, "SHOW GRANTS FOR clerk@'%'")
    assert store(shell, "cat /files/in/one; stat -c %u:%g /files/in/one; ls /files").split() == [
        "picture",
        "1234:5",
        "in",
    ]
    assert [(each["service"], each["state"]) for each in shell.json("ps", APP)] == [
        ("db", "running"),
        ("store", "running"),
    ]


def test_a_damaged_one_fails_and_touches_nothing(
    shell: Shell, platform: dict[str, str], made: dict[str, dict[str, Any]]
) -> None:
    fill(shell)
    for each in made.values():
        file = file_of(platform, each)
        whole = file.read_bytes()
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        spoil(shell) if each["service"] == "db" else None
        for word in ("verify", "restore"):
            failed = asked(shell, word, each, code=1)
            assert failed["status"] == "ERROR"
            assert "changed or cut off" in failed["status_reason"]
        file.write_bytes(whole)
    assert sql(shell, "SHOW TABLES").split() == ["later"]
    assert store(shell, "ls /files").split() == ["two"]


def test_a_command_that_fails_says_why_and_leaves_nothing(shell: Shell, made: dict[str, dict[str, Any]]) -> None:
    """Its check looks for a table that this one does not have."""
    [bare] = shell.json("backup", "create", APP, "--service", "db")
    failed = asked(shell, "verify", bare, code=1)
    assert "Table 'shop.words' doesn't exist" in failed["status_reason"]
    assert asked(shell, "restore", bare)["restored_at"]
    fill(shell)


def test_another_project_knows_nothing_of_them(shell: Shell, made: dict[str, dict[str, Any]]) -> None:
    for words in (("list", APP), ("show", APP, "1"), ("verify", APP, "1"), ("restore", APP, "1", "--yes")):
        assert "could not be found" in shell.refused("backup", *words, cloud="stackyard-other")


@pytest.mark.slow
def test_whoever_makes_one_is_killed(shell: Shell, killer: Killer, made: dict[str, dict[str, Any]]) -> None:
    fill(shell)
    killer.through(
        lambda: shell.ok("backup", "create", APP, "--service", "store", "--no-wait"),
        "PlaceBackup",
        "TakeBackup",
        "TidyBackup",
    )
    rest(shell, made["db"])  # the API is back
    newest = rest(shell, shell.json("backup", "list", APP)[0])
    assert (newest["status"], newest["status_reason"]) == ("AVAILABLE", None)
    assert asked(shell, "verify", newest)["verified_at"]


@pytest.mark.slow
def test_whoever_restores_one_is_killed(shell: Shell, killer: Killer, made: dict[str, dict[str, Any]]) -> None:
    spoil(shell)
    killer.through(
        lambda: shell.ok("backup", "restore", APP, str(made["store"]["number"]), "--yes", "--no-wait"),
        *("UnpackBackup", "HoldService", "SaveVolumes", "ReplaceVolumes", "ReleaseService"),
    )
    restored = rest(shell, made["store"])
    assert (restored["status"], restored["status_reason"]) == ("AVAILABLE", None)
    assert store(shell, "ls /files").split() == ["in"]
    fill(shell)


def test_deleting_gives_the_room_back(shell: Shell, platform: dict[str, str], made: dict[str, dict[str, Any]]) -> None:
    file = file_of(platform, made["db"])
    shell.ok("backup", "delete", APP, str(made["db"]["number"]), "--yes")
    assert not file.exists()
    folder = file.parent
    shell.ok("destroy", APP, "--yes")
    assert not folder.exists()
