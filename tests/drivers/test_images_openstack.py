# SPDX-License-Identifier: Apache-2.0
"""The package `openstack` as it is read, and the secrets that are made for it."""

from __future__ import annotations

import pathlib
import re

import pytest
from cryptography.fernet import Fernet

from stackyard.cli import openstack, openstack_secrets
from stackyard.drivers.builders import compose
from stackyard.drivers.files import templates
from stackyard.local import stacks
from stackyard.model.applications import AppSpec

NOT_SECRET = {"API_URL", "REGION"}


@pytest.fixture(scope="module")
def spec() -> AppSpec:
    folder = openstack.PACKAGE
    return compose.parse((folder / "compose.yaml").read_text(), lambda path: (folder / path).read_text())


def test_every_value_that_files_need_is_made_or_derived(spec: AppSpec) -> None:
    asked = {key for file in spec.files for key in templates.keys(file.text, file.name)}
    made = set(openstack_secrets.needed(openstack.PACKAGE / "compose.yaml"))
    assert asked == made | NOT_SECRET


def test_no_secret_stands_in_the_environment_or_in_arguments(spec: AppSpec) -> None:
    words = [word for service in spec.services for word in (*service.environment.values(), *(service.command or ()))]
    assert not [word for word in words if "$" in word]


def test_every_image_is_one_that_the_platform_makes(spec: AppSpec) -> None:
    assert {service.image for service in spec.services} <= {f"stackyard/{name}" for name in stacks.NAMES}


def test_all_services_of_openstack_run_from_one_image(spec: AppSpec) -> None:
    own = {service.image for service in spec.services if re.match(r"keystone|glance|nova|neutron|heat|horizon|placement", service.name)}
    assert own == {"stackyard/openstack"}


def test_the_gateway_leads_to_each_port_that_a_service_has(spec: AppSpec) -> None:
    config = (openstack.PACKAGE / "etc" / "haproxy.cfg").read_text()
    led = set(re.findall(r"server-template \S+ \d+ (\S+)", config))
    ports = {f"{each.name}:{each.port}" for each in spec.services if each.port and each.name != openstack.GATEWAY}
    assert led == ports


def test_secrets_are_new_each_time_and_keys_are_keys() -> None:
    names = ["FERNET_KEY_0", "ADMIN_PASSWORD", "HEAT_ENCRYPTION_PASSPHRASE"]
    one, other = openstack_secrets.made(names), openstack_secrets.made(names)
    assert not set(one.values()) & set(other.values())
    assert Fernet(one["FERNET_KEY_0"]).decrypt(Fernet(one["FERNET_KEY_0"]).encrypt(b"x")) == b"x"
    assert len(one["HEAT_ENCRYPTION_PASSPHRASE"]) == 32


def test_the_cloud_is_added_beside_others_and_taken_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clouds.yaml"
    file.write_text("clouds: {mine: {region_name: here}}\n")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    clouds = openstack.openstack_clouds
    clouds.write("http://127.0.0.1/identity/v3", "word", "RegionOne")
    assert clouds.known("http://127.0.0.1/identity/v3")
    assert not clouds.known("http://192.0.2.1/identity/v3")
    assert file.stat().st_mode & 0o777 == 0o600
    clouds.forget()
    assert file.read_text().split() == ["clouds:", "mine:", "region_name:", "here"]
