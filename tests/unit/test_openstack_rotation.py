# SPDX-License-Identifier: Apache-2.0
"""What `stackyard openstack rotate` asks for: keys that open what was closed before, and whose passwords are new."""

from __future__ import annotations

import datetime

import pytest
from cli_platform import Platform, Run
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from stackyard.cli.openstack import rotation, secrets
from stackyard.model import errors

NAMES = [f"FERNET_KEY_{number}" for number in range(3)]


def keystone(config: dict[str, str]) -> MultiFernet:
    """Return what Keystone does with a key repository: the key of the highest number closes, all of them open."""
    return MultiFernet([Fernet(config[name]) for name in reversed(NAMES)])


def changed(config: dict[str, str]) -> dict[str, str]:
    asked = rotation.turned("FERNET")
    return {key: value.get("secret") or config[value["from"]] for key, value in asked.items()}


def test_tokens_pass_between_replicas_of_before_and_behind_a_rotation() -> None:
    before = secrets.made(NAMES)
    after = changed(before)
    assert keystone(after).decrypt(keystone(before).encrypt(b"old")) == b"old"
    assert keystone(before).decrypt(keystone(after).encrypt(b"new")) == b"new"


def test_a_key_goes_with_the_second_rotation() -> None:
    before = secrets.made(NAMES)
    token = keystone(before).encrypt(b"x")
    with pytest.raises(InvalidToken):
        keystone(changed(changed(before))).decrypt(token)


def test_keys_are_not_rotated_while_tokens_need_the_one_that_goes() -> None:
    now = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)
    rotation._check_time(None, now)
    rotation._check_time("2026-01-01T11:00:00Z", now)
    with pytest.raises(errors.Conflict, match="good until 12:30:00 UTC"):
        rotation._check_time("2026-01-01T11:30:00Z", now)


KNOWN = [
    "ADMIN_PASSWORD",
    "MARIADB_ROOT_PASSWORD",
    "KEYSTONE_DATABASE_PASSWORD",
    "NOVA_DATABASE_PASSWORD",
    "NOVA_PASSWORD",
    "API_URL",
]


@pytest.mark.parametrize(
    ("services", "accounts", "names"),
    [
        ((), False, ["KEYSTONE_DATABASE_PASSWORD", "NOVA_DATABASE_PASSWORD"]),
        ((), True, ["KEYSTONE_DATABASE_PASSWORD", "NOVA_DATABASE_PASSWORD", "NOVA_PASSWORD"]),
        (("nova",), True, ["NOVA_DATABASE_PASSWORD", "NOVA_PASSWORD"]),
        (("nova", "nova"), False, ["NOVA_DATABASE_PASSWORD"]),
    ],
)
def test_which_passwords_are_replaced(services: tuple[str, ...], accounts: bool, names: list[str]) -> None:
    assert rotation.chosen(KNOWN, services, accounts=accounts) == names


def test_a_service_that_has_no_password_is_named() -> None:
    with pytest.raises(errors.BadInput, match="no passwords of swift; there are: keystone, nova"):
        rotation.chosen(KNOWN, ("swift", "nova"), accounts=False)


def test_a_third_key_takes_the_place_of_the_primary_one_where_there_were_two() -> None:
    there = {"FERNET_KEY_0": None, "FERNET_KEY_1": None, "ADMIN_PASSWORD": None}
    asked = secrets.changes([*NAMES, "CREDENTIAL_KEY_1", "CREDENTIAL_KEY_2"], there)
    assert asked["FERNET_KEY_2"] == {"from": "FERNET_KEY_1"}
    assert set(asked) == {"FERNET_KEY_2", "CREDENTIAL_KEY_1", "CREDENTIAL_KEY_2"}
    assert all("secret" in asked[name] for name in ("CREDENTIAL_KEY_1", "CREDENTIAL_KEY_2"))


@pytest.fixture
def deployed(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("OS_CLOUD", "stackyard")
    monkeypatch.setattr("stackyard.cli.openstack.commands.OPERATOR", "stackyard")
    platform.apps["openstack"] = {"uuid": "u", "name": "openstack", "status": "DEPLOYMENT_COMPLETE", "release": 1}
    platform.releases["openstack"] = [{"number": 1}]
    platform.config["openstack"] = {name: {"secret": "x"} for name in [*NAMES, "KEYSTONE_DATABASE_PASSWORD"]}
    return platform


def test_a_rotation_is_one_change_of_config_and_is_waited_for(run: Run, deployed: Platform) -> None:
    code, out, err = run("openstack", "rotate", "fernet")
    assert (code, out.splitlines()[0]) == (0, "Release: 2"), err
    assert deployed.config["openstack"]["FERNET_KEY_2"] == {"from": "FERNET_KEY_0"}
    assert deployed.config["openstack"]["FERNET_KEY_0"]["secret"] not in out + err
    code, _, err = run("openstack", "rotate", "fernet")
    assert (code, "add --force" in err) == (1, True)
    assert run("openstack", "rotate", "fernet", "--force", "--json")[0] == 0
    assert run("openstack", "rotate", "passwords", "--service", "keystone")[0] == 0
    assert len(deployed.config["openstack"]["KEYSTONE_DATABASE_PASSWORD"]["secret"]) == 32


def test_what_was_deployed_with_two_keys_has_to_be_deployed_again_first(run: Run, deployed: Platform) -> None:
    del deployed.config["openstack"]["FERNET_KEY_2"]
    code, _, err = run("openstack", "rotate", "fernet")
    assert (code, "run: stackyard openstack deploy" in err) == (1, True)
