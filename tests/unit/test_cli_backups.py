# SPDX-License-Identifier: Apache-2.0
"""`stackyard backup` and `stackyard openstack backup`: what is sent, what is told, how it ends."""

from __future__ import annotations

import json

import pytest
from cli_platform import Platform, Run


@pytest.fixture(autouse=True)
def bare(platform: Platform) -> None:
    """There are no backups yet, and all goes well."""
    platform.backups.clear()
    platform.breaks = ""


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLOUD", "stackyard")
    monkeypatch.setattr("stackyard.cli.openstack.commands.OPERATOR", "stackyard")


def test_they_are_made_and_waited_for(platform: Platform, run: Run) -> None:
    code, out, err = run("backup", "create", "shop")
    assert code == 0
    assert [line.split()[:6] for line in out.splitlines()[1:]] == [
        ["1", "db", "production", "dump", "request", "AVAILABLE"],
        ["2", "store", "production", "dump", "request", "AVAILABLE"],
    ]
    assert "2.0 KiB" in out
    assert "back up shop: db, 4.0 KiB, store, 4.0 KiB" in err
    code, out, _ = run("backup", "create", "shop", "--service", "db", "--no-wait", "--json")
    assert (code, [each["status"] for each in json.loads(out)]) == (0, ["CREATING"])


def test_what_fails_is_told(platform: Platform, run: Run) -> None:
    run("backup", "create", "shop", "--service", "db")
    platform.breaks = "verified_at"
    code, out, _ = run("backup", "verify", "shop", "1")
    assert code == 1
    assert "flawed" in out
    assert "it broke" in out
    assert "in detail" not in out
    assert "status_reason  it broke" in run("backup", "show", "shop", "1")[1]


def test_nobody_restores_or_deletes_by_accident(platform: Platform, run: Run) -> None:
    run("backup", "create", "shop", "--service", "db")
    for word in ("restore", "delete"):
        code, _, err = run("backup", word, "shop", "1")
        assert (code, "add --yes" in err) == (2, True)
    assert platform.backups[0]["restored_at"] is None
    code, _, _ = run("backup", "restore", "shop", "1", "--yes")
    assert (code, bool(platform.backups[0]["restored_at"])) == (0, True)
    assert run("backup", "delete", "shop", "1", "--yes")[0] == 0
    code, _, err = run("backup", "show", "shop", "1")
    assert (code, "there is no backup 1" in err) == (1, True)
    assert "no backups yet" in run("backup", "list", "shop")[1]


@pytest.mark.usefixtures("operator")
def test_openstack_is_backed_up_verified_and_restored(platform: Platform, run: Run) -> None:
    code, _, err = run("openstack", "restore", "--yes")
    assert (code, "there is no backup to restore" in err) == (1, True)
    code, _, _ = run("openstack", "backup", "--verify")
    assert (code, [bool(each["verified_at"]) for each in platform.backups]) == (0, [True, True])
    run("openstack", "backup")
    platform.backups[2]["flaw"] = "no such table"  # the newest of db
    code, out, _ = run("openstack", "restore", "--yes", "--json")
    assert (code, sorted(each["number"] for each in json.loads(out))) == (0, [1, 4])
    code, out, _ = run("openstack", "restore", "2", "--yes", "--json")
    assert (code, [each["number"] for each in json.loads(out)]) == (0, [2])
